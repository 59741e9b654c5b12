import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import { callerKey } from '../../access/client-address.ts'
import type { RateLimits } from '../../access/rate-limits.ts'
import { sendDenied } from '../problem-reply.ts'
import { PAGE_HEADERS } from '../response-headers.ts'
import { KUBIYA_PREFIX } from '../kubiya-error.ts'
import { secured } from '../security-schemes.ts'
import openapi from '../../../openapi/openapi.json' with { type: 'json' }

const SCRIPT = 'text/javascript; charset=utf-8'
// The files of the page, which the build copies beside the service.
const TYPES: Record<string, string> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': SCRIPT,
  'favicon-32x32.png': 'image/png'
}
const HTML = 'text/html; charset=utf-8'
const CACHED = 'private, max-age=3600'
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

/** The generated OpenAPI document, and a page to read and try it. */
export const docsRoutes: FastifyPluginAsync<DocsOptions> = async (app, { isCompatible, limits, mode }) => {
  // A buffer, because a string would be copied for each slow reader.
  const document = Buffer.from(JSON.stringify(secured(isCompatible ? openapi : withoutKubiyaPaths(), mode)))
  const quiet = { logLevel: 'warn', schema: { hide: true } } as const

  // These routes need no credential, so the limit counts addresses.
  app.addHook('onRequest', (request, reply, done) => {
    const refusal = limits.request(callerKey(request.ip, request.ips))
    if (refusal === undefined) done()
    else sendDenied(reply, refusal)
  })

  app.get('/openapi.json', quiet, (_request, reply) => reply.type('application/json; charset=utf-8').send(document))
  // Links are relative, so that the page also works below a gateway's path prefix.
  app.get('/docs', quiet, (_request, reply) => sendPage(reply, '.'))
  app.get('/docs/', quiet, (_request, reply) => sendPage(reply, '..'))
  app.get('/docs/page.js', quiet, (_request, reply) => reply.type(SCRIPT).header('cache-control', CACHED).send(START))
  for (const [name, type] of Object.entries(TYPES)) {
    // Read once, not for each request.
    const part = await readFile(fileURLToPath(import.meta.resolve(`#docs/${name}`)))
    app.get(`/docs/${name}`, quiet, (_request, reply) => reply.type(type).header('cache-control', CACHED).send(part))
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
