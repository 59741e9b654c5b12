// Follows events with the client module, each once: over lost connections and restarts of the service, and over
// restarts of its own when it may keep its cursor in a file. `npm run build` first. node examples/each-event-once.mjs
// [http://127.0.0.1:3000] [file]
import { readFile, rename, writeFile } from 'node:fs/promises'
import { openAuditStream } from 'kubiya-audit-bff/client'
import WebSocket from 'ws'

const [url = 'http://127.0.0.1:3000', file] = process.argv.slice(2)

const stream = openAuditStream({
  url,
  since: file === undefined ? undefined : await readFile(file, 'utf8').catch(() => undefined),
  WebSocket: globalThis.WebSocket ?? WebSocket, // Node 20 has none of its own.
  onHello: ({ resumed }) => console.log(`connected, resumed: ${resumed}`),
  onReconnect: ({ reason, waitMs }) => console.log(`no connection (${reason}), next try in ${Math.round(waitMs)} ms`),
  onGap: ({ from, reason, to }) => console.log(`missing: ${from} to ${to} (${reason})`)
})
for await (const event of stream) {
  console.log(`${event.timestamp} ${event.id}`)
  if (file === undefined) continue
  await writeFile(`${file}.new`, stream.cursor)
  await rename(`${file}.new`, file) // Whole or not at all, whenever this process ends.
}
