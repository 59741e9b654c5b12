import fastify from 'fastify'
import { answer } from '../commands.ts'

// A route that sends one prepared buffer: nothing is validated, looked up or logged.

const server = fastify()
let body = Buffer.alloc(0)
server.get(
  '/bytes',
  (_request, reply) =>
    reply.header('cache-control', 'public, max-age=3600').type('application/json; charset=utf-8').send(body)
)

answer({
  listen: async (port: number) => { await server.listen({ port, host: '127.0.0.1' }) },
  body (bytes: number) { body = Buffer.alloc(bytes, '{"items":"x"}') }
})
