// Warns when one user fails to authenticate several times within a few minutes.
// node examples/failed-authentication-monitor.mjs [http://127.0.0.1:3000] [times] [minutes]
import WebSocket from 'ws'

const [base = 'http://127.0.0.1:3000', times = '3', minutes = '10'] = process.argv.slice(2)

// A closed output, as after `| head`, ends this program.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

const url = new URL('/api/v1/audit/stream', base.replace(/^http/, 'ws'))
url.search = new URLSearchParams({
  category_type: 'users',
  text: 'authentication',
  status: 'failed',
  start_time: `-${minutes}m`
})

const failures = new Map() // e-mail → instants of its recent failures, in milliseconds
const socket = new WebSocket(url)
socket.on('error', (error) => { console.error(error.message) })
socket.on('message', (data) => {
  const frame = JSON.parse(data)
  if (frame.type === 'gap') console.log(`missing: ${frame.from} to ${frame.to} (${frame.reason})`)
  if (frame.type !== 'event') return
  const { email, timestamp } = frame.event
  const now = Date.parse(timestamp)
  const recent = [...failures.get(email) ?? [], now].filter((instant) => now - instant <= minutes * 60_000)
  failures.set(email, recent)
  console.log(`${timestamp} ${email} failed to authenticate`)
  if (recent.length >= times) console.log(`ALERT ${email}: ${recent.length} failures within ${minutes} minutes`)
})
