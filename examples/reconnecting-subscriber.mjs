// Follows events without end. After a lost connection it reconnects with its cursor, so it misses nothing.
// node examples/reconnecting-subscriber.mjs [http://127.0.0.1:3000]
import WebSocket from 'ws'

const [base = 'http://127.0.0.1:3000'] = process.argv.slice(2)

// A closed output, as after `| head`, ends this program.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

let cursor // of the newest frame: the service delivered or filtered all events before it
let attempts = 0
const seen = new Set() // After a restart of the service, events may repeat with the same id.
connect()

function connect () {
  const url = new URL('/api/v1/audit/stream', base.replace(/^http/, 'ws'))
  if (cursor !== undefined) url.searchParams.set('since', cursor)
  const socket = new WebSocket(url)
  let lasting // A connection that lasts less than 30 s counts as a failed attempt.
  socket.on('open', () => { lasting = setTimeout(() => { attempts = 0 }, 30_000) })
  socket.on('message', (data) => {
    const frame = JSON.parse(data)
    if (frame.type === 'hello') {
      console.log(cursor === undefined ? 'connected' : `connected again, resumed: ${frame.resumed}`)
    }
    if (frame.cursor !== undefined) cursor = frame.cursor
    if (frame.type === 'gap') console.log(`missing: ${frame.from} to ${frame.to} (${frame.reason})`)
    if (frame.type === 'event' && !seen.has(frame.event.id)) {
      seen.add(frame.event.id)
      if (seen.size > 10_000) seen.delete(seen.values().next().value)
      console.log(`${frame.event.timestamp} ${frame.event.id}`)
    }
  })
  socket.on('error', (error) => { console.error(error.message) }) // `close` follows.
  socket.on('close', () => {
    clearTimeout(lasting)
    const boundMs = Math.min(30_000, 250 * 2 ** attempts++)
    setTimeout(connect, attempts <= 3 ? Math.random() * boundMs : (1 + Math.random()) / 2 * boundMs)
  })
}
