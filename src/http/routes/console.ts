import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { RateLimits } from '../../access/rate-limits.ts'
import { limitByAddress, searchOf } from '../authenticate.ts'
import { prefersPage } from '../content-negotiation.ts'
import { sendProblem } from '../problem-reply.ts'
import { CONSOLE_HEADERS } from '../response-headers.ts'
import { readStaticFile, sendStaticFile, type StaticFile } from '../static-file.ts'

export interface ConsoleOptions {
  readonly limits: Pick<RateLimits, 'request'>
}

const PAGE = 'index.html'
const ENCODED = /\.(?:br|gz)$/
const REVALIDATED = 'no-cache'
const IMMUTABLE = 'public, max-age=31536000, immutable' // The names of these files contain a digest of their content.

/** The console: a page that needs no credential, because it holds no data. Redirects are relative, as its links are. */
export const consoleRoutes: FastifyPluginAsync<ConsoleOptions> = async (app, { limits }) => {
  const files = await readFiles()
  const quiet = { logLevel: 'warn', schema: { hide: true } } as const
  const limited = { ...quiet, onRequest: limitByAddress(limits) }

  app.get('/', quiet, (request, reply) => {
    reply.header('vary', 'accept')
    return prefersPage(request.headers.accept)
      ? redirect(request, reply)
      : sendProblem(reply, 'not-found', 'No such route. The page of this service is at `console/`, the API at `docs`.')
  })
  app.get('/console', quiet, redirect)
  app.get('/console/', limited, (request, reply) => send(request, reply, PAGE))
  app.get<{ Params: { name: string } }>('/console/:name', limited, (request, reply) =>
    request.params.name === PAGE ? reply.callNotFound() : send(request, reply, request.params.name)
  )

  function send (request: FastifyRequest, reply: FastifyReply, name: string): FastifyReply {
    const file = files.get(name)
    if (file === undefined) {
      reply.callNotFound()
      return reply
    }
    reply.headers(CONSOLE_HEADERS)
    return sendStaticFile(request, reply, file, name === PAGE ? REVALIDATED : IMMUTABLE)
  }
}

/** Redirects to the page, with the query, in which the page keeps what it shows. */
function redirect (request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const query = searchOf(request.url)
  const location = query === '' ? 'console/' : `console/?${query}`
  return reply.code(302).headers({ location, 'cache-control': REVALIDATED }).send()
}

/** The files that the build wrote, by name. They stay in memory. */
async function readFiles (): Promise<ReadonlyMap<string, StaticFile>> {
  const folder = fileURLToPath(new URL('.', import.meta.resolve(`#console/${PAGE}`)))
  const names = (await readdir(folder)).filter((name) => !ENCODED.test(name))
  return new Map(await Promise.all(names.map(async (name) => [name, await readStaticFile(join(folder, name))] as const)))
}
