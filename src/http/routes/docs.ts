import { fileURLToPath } from 'node:url'
import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import type { RateLimits } from '../../access/rate-limits.ts'
import { compress } from '../../archive/content-encoding.ts'
import { limitByAddress } from '../authenticate.ts'
import { KUBIYA_PREFIX } from '../kubiya-error.ts'
import { PAGE_HEADERS } from '../response-headers.ts'
import { secured } from '../security-schemes.ts'
import { createStaticFile, readStaticFile, sendStaticFile, type StaticFile } from '../static-file.ts'
import openapi from '../../../openapi/openapi.json' with { type: 'json' }

// The files of the page, which the build copies beside the service.
const PARTS = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png']
const HTML = 'text/html; charset=utf-8'
const SCRIPT = 'text/javascript; charset=utf-8'
const JSON_TYPE = 'application/json; charset=utf-8'
const CACHED = 'private, max-age=3600'
const REVALIDATED = 'no-cache'
// A file of its own, so that the content security policy allows no inline script.
const START =
  "SwaggerUIBundle({ dom_id: '#page', url: document.getElementById('page').dataset.document, docExpansion: 'list', " +
    'deepLinking: true, validatorUrl: null })\n'

export interface DocsOptions {
  /** The value of `AUTH_MODE`. */
  readonly mode: string
  /** Whether Kubiya's own routes are served. */
  readonly isCompatible: boolean
  readonly limits: Pick<RateLimits, 'request'>
}

/** The documents of the API, a page to read and try it, and the client module. */
export const docsRoutes: FastifyPluginAsync<DocsOptions> = async (app, { isCompatible, limits, mode }) => {
  const quiet = { logLevel: 'warn', schema: { hide: true } } as const
  const document = createDocument(secured(isCompatible ? openapi : withoutKubiyaPaths(), mode))

  app.addHook('onRequest', limitByAddress(limits))
  app.get('/openapi.json', quiet, async (request, reply) =>
    sendStaticFile(request, reply, await document(), REVALIDATED)
  )
  for (const name of ['asyncapi.json', 'client.js']) {
    const file = await readPart(name)
    app.get(`/${name}`, quiet, (request, reply) => sendStaticFile(request, reply, file, REVALIDATED))
  }
  // Links are relative, so that the page also works below a gateway's path prefix.
  app.get('/docs', quiet, (_request, reply) => sendPage(reply, '.'))
  app.get('/docs/', quiet, (_request, reply) => sendPage(reply, '..'))
  app.get('/docs/page.js', quiet, (_request, reply) => reply.type(SCRIPT).header('cache-control', CACHED).send(START))
  for (const name of PARTS) {
    const file = await readPart(name)
    app.get(`/docs/${name}`, quiet, (request, reply) => sendStaticFile(request, reply, file, CACHED))
  }
}

/** Reads a file once, not for each request. */
function readPart (name: string): Promise<StaticFile> {
  return readStaticFile(fileURLToPath(import.meta.resolve(`#docs/${name}`)))
}

/** The document depends on settings, so the build cannot compress it. The first request does, once for all. */
function createDocument (value: object): () => Promise<StaticFile> {
  const body = Buffer.from(JSON.stringify(value))
  let made: Promise<StaticFile> | undefined
  return () => {
    made ??= make()
    return made
  }

  async function make (): Promise<StaticFile> {
    const [br, gzip] = await Promise.all([compress(body, 'br'), compress(body, 'gzip')])
    return createStaticFile(JSON_TYPE, body, { br, gzip })
  }
}

function withoutKubiyaPaths (): typeof openapi {
  const paths = Object.entries(openapi.paths).filter(([path]) => !path.startsWith(`${KUBIYA_PREFIX}/`))
  return { ...openapi, paths: Object.fromEntries(paths) as typeof openapi.paths }
}

function sendPage (reply: FastifyReply, root: string): FastifyReply {
  return reply.type(HTML).headers(PAGE_HEADERS).send(page(root))
}

function page (root: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${openapi.info.title}</title>
<link rel="stylesheet" href="${root}/docs/swagger-ui.css">
<link rel="icon" type="image/png" href="${root}/docs/favicon-32x32.png">
<div id="page" data-document="${root}/openapi.json"></div>
<script src="${root}/docs/swagger-ui-bundle.js"></script>
<script src="${root}/docs/page.js"></script>
</html>
`
}
