import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { answer } from '../commands.ts'

// A WebSocket server that does nothing but hold its clients.

const server = createServer((_request, response) => response.end())
const sockets = new WebSocketServer({ server, perMessageDeflate: false })
sockets.on('connection', (socket) => socket.on('error', () => socket.terminate()))

answer({
  listen: async (port: number) =>
    new Promise<void>((resolve) => {
      server.listen({ port, host: '127.0.0.1' }, resolve)
    })
})
