// Exports every event of the last hours, one JSON object on each line, and continues until the window was read to its
// end. Standard error tells how much it was.
// node examples/complete-export.mjs [http://127.0.0.1:3000] [-6h] > events.ndjson
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

const MOST_TRIES = 5
const RETRY_SECONDS = 2
const [base = 'http://127.0.0.1:3000', since = '-6h'] = process.argv.slice(2)

// A closed output, as after `| head`, ends this program.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

let query = `start_time=${since}`
let parts = 0
let events = 0
let isComplete = false
while (query !== null) {
  const end = await writePart(await open(query))
  parts++
  events += end.events
  isComplete = end.complete
  if (end.skipped !== undefined) console.error(`events that could not be read: ${JSON.stringify(end.skipped)}`)
  query = end.next === null ? null : `cursor=${end.next}`
}
console.error(`${events} events in ${parts} parts, ${isComplete ? 'complete' : 'not complete'}`)
if (!isComplete) process.exitCode = 1

/** Begins one part. An outage or a limit of the service is waited for. */
async function open (query) {
  for (let tries = 1; ; tries++) {
    const response = await fetch(`${base}/api/v1/audit/export?${query}`)
    if (response.ok) return response.body
    const { code, detail, retry_after: seconds = RETRY_SECONDS, status } = await response.json()
    const mayPass = status >= 500 || status === 429
    if (!mayPass || tries === MOST_TRIES) throw new Error(`${status} ${code}: ${detail}`)
    await sleep(seconds * 1000)
  }
}

/** Writes the events of one part. Returns what its last line says. */
async function writePart (body) {
  const hash = createHash('sha256')
  let rest = Buffer.alloc(0)
  for await (const chunk of body) {
    rest = Buffer.concat([rest, chunk])
    const lastLine = rest.lastIndexOf('\n', rest.length - 2) + 1 // It may be the end, and it may be unfinished.
    const lines = rest.subarray(0, lastLine)
    rest = rest.subarray(lastLine)
    hash.update(lines)
    if (lines.length > 0 && !process.stdout.write(lines)) await once(process.stdout, 'drain')
  }
  const { export: end } = JSON.parse(rest.toString() || '{}')
  if (end === undefined) throw new Error('the export was cut off')
  if (end.sha256 !== hash.digest('hex')) throw new Error('the export was damaged on its way')
  return end
}
