import websocket from '@fastify/websocket'
import fastify from 'fastify'
import type { WebSocket } from 'ws'
import { answer } from '../commands.ts'
import { createTicker } from '../ticker.ts'

// What the plugin's README shows: every event to every client, one `send` each.

const clients = new Set<WebSocket>()
const server = fastify()
await server.register(websocket)
server.get('/stream', { websocket: true }, (socket) => {
  clients.add(socket)
  socket.on('close', () => clients.delete(socket))
})

answer({
  listen: async (port: number) => { await server.listen({ port, host: '127.0.0.1' }) },
  tick: createTicker((texts) => {
    for (const text of texts) for (const client of clients) client.send(text)
  })
})
