// Follows events for ever: reconnects after any loss and goes on from its cursor, so that nothing is missed.
// node examples/reconnecting-subscriber.mjs [http://127.0.0.1:3000]
import WebSocket from 'ws'

const [base = 'http://127.0.0.1:3000'] = process.argv.slice(2)

let cursor // of the last frame: what came before it was given, or skipped by the filter
let attempts = 0
const seen = new Set() // after a restart of the service events can come again, always with the same id
connect()

function connect () {
  const url = new URL('/api/v1/audit/stream', base.replace(/^http/, 'ws'))
  if (cursor !== undefined) url.searchParams.set('since', cursor)
  const socket = new WebSocket(url)
  socket.on('message', (data) => {
    const frame = JSON.parse(data)
    attempts = 0
    if (frame.type === 'hello') console.log(cursor === undefined ? 'connected' : `connected again, resumed: ${frame.resumed}`)
    if (frame.cursor !== undefined) cursor = frame.cursor
    if (frame.type === 'gap') console.log(`missing: ${frame.from} to ${frame.to} (${frame.reason})`)
    if (frame.type === 'event' && !seen.has(frame.event.id)) {
      seen.add(frame.event.id)
      if (seen.size > 10_000) seen.delete(seen.values().next().value)
      console.log(`${frame.event.timestamp} ${frame.event.id}`)
    }
  })
  socket.on('error', () => {}) // `close` follows.
  socket.on('close', () => {
    const waitMs = Math.random() * Math.min(30_000, 250 * 2 ** attempts++) // full jitter
    setTimeout(connect, waitMs)
  })
}
