// Follows live events that match a filter. The stream ends after the given minutes.
// node examples/filtered-stream.mjs [http://127.0.0.1:3000] [category_type=agents] [minutes]
import WebSocket from 'ws'

const [base = 'http://127.0.0.1:3000', filter = '', minutes = '5'] = process.argv.slice(2)

// A closed output, as after `| head`, ends this program.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

const url = new URL('/api/v1/audit/stream', base.replace(/^http/, 'ws'))
url.search = filter
url.searchParams.set('timeout_minutes', minutes)

const socket = new WebSocket(url, 'kubiya-audit.v1')
socket.on('unexpected-response', async (_request, response) => {
  console.error(response.statusCode, Buffer.concat(await response.toArray()).toString())
  process.exitCode = 1
})
socket.on('error', (error) => {
  console.error(error.message)
  process.exitCode = 1
})
socket.on('message', (data) => {
  const frame = JSON.parse(data)
  if (frame.type === 'event') {
    const { timestamp, category_type: category, action_type: action, resource_text: text = '' } = frame.event
    console.log(`${timestamp} ${category} ${action} ${JSON.stringify(text).slice(0, 80)}${frame.late ? ' (late)' : ''}`)
  } else {
    console.log(`-- ${frame.type} ${JSON.stringify({ ...frame, type: undefined, cursor: undefined })}`)
  }
})
