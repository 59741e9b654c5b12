import { once } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import type { FastifyPluginAsync } from 'fastify'
import fastifyPlugin from 'fastify-plugin'

const ABOUT_BODIES = ['content-type', 'content-length', 'transfer-encoding']
const NEVER_READ = ['GET', 'HEAD', 'OPTIONS']

/**
 * Treats an empty body as no body, whatever its content type: there is nothing to misread. A body with bytes is
 * unchanged.
 */
const plugin: FastifyPluginAsync = async (app) => {
  app.addHook('preParsing', (request, _reply, payload, done) => {
    const { headers, method } = request
    if (NEVER_READ.includes(method)) return done(null, payload)
    if (headers['transfer-encoding'] === undefined) {
      if (Number(headers['content-length'] ?? 0) === 0) forget(headers)
      return done(null, payload)
    }
    endsAtOnce(payload).then((isEmpty) => {
      if (isEmpty) forget(headers)
      done(null, payload)
    }, done)
  })
}

export const emptyBody = fastifyPlugin(plugin, { name: 'empty-body' })

function forget (headers: IncomingHttpHeaders): void {
  for (const name of ABOUT_BODIES) delete headers[name]
}

/** Whether a body is empty. A chunk that was read for the check is put back. */
async function endsAtOnce (body: Readable): Promise<boolean> {
  for (;;) {
    const chunk: unknown = body.read()
    if (chunk !== null) {
      body.unshift(chunk)
      return false
    }
    if (body.readableEnded || body.destroyed) return body.readableEnded
    await Promise.race([once(body, 'readable'), once(body, 'end')])
  }
}
