// Follows events with the client module: each event once, across lost connections and restarts of the service.
// With a file for the cursor, this program continues after its own restart too. Run `npm run build` first.
// node examples/each-event-once.mjs [http://127.0.0.1:3000] [file]
import { readFile, rename, writeFile } from 'node:fs/promises'
import { openAuditStream } from 'kubiya-audit-bff/client'
import WebSocket from 'ws'

const [url = 'http://127.0.0.1:3000', file] = process.argv.slice(2)

// A closed output, as after `| head`, ends this program.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

const stream = openAuditStream({
  url,
  since: file === undefined ? undefined : await readFile(file, 'utf8').catch(() => undefined),
  WebSocket: globalThis.WebSocket ?? WebSocket, // Node 20 has no global WebSocket.
  onHello: ({ resumed }) => console.log(`connected, resumed: ${resumed}`),
  onReconnect: ({ reason, waitMs }) => console.log(`no connection (${reason}), next try in ${Math.round(waitMs)} ms`),
  onGap: ({ from, reason, to }) => console.log(`missing: ${from} to ${to} (${reason})`)
})
for await (const event of stream) {
  console.log(`${event.timestamp} ${event.id}`)
  if (file === undefined) continue
  await writeFile(`${file}.new`, stream.cursor)
  await rename(`${file}.new`, file) // Atomic: a crash leaves the old cursor or the new one.
}
