import { describeMachine, nchanModule, nginx } from './machine.ts'
import { format, isMet, type Bound, type Row } from './row.ts'

/** The rows as a Markdown table, readable as it is. */
export function table (rows: readonly Row[]): string {
  const cells = [['figure', 'measured', 'ratio or value', 'target', 'met', 'steal'], ...rows.map(cellsOf)]
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0))) ?? []
  const lines = cells.map((line) => `| ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`)
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`)
  return `${lines.join('\n')}\n`
}

function cellsOf (row: Row): string[] {
  const met = isMet(row)
  return [
    row.figure,
    row.measured,
    row.value === undefined ? '' : format(row.value),
    row.bound === undefined ? '' : boundText(row.bound),
    met === undefined ? '' : met ? 'yes' : '**no**',
    row.steal === undefined ? '' : `${(row.steal * 100).toFixed(0)} %`
  ]
}

function boundText (bound: Bound): string {
  if ('most' in bound) return `≤ ${bound.most}`
  return 'least' in bound ? `≥ ${bound.least}` : `= ${bound.equal}`
}

/** What is missing on this machine, said where it is seen. */
export function warnings (): string[] {
  return [
    ...nginx === undefined ? ['nginx is not installed: its figures are missing'] : [],
    ...nginx !== undefined && nchanModule === undefined
      ? ['nginx has no nchan (libnginx-mod-nchan): its figure is missing']
      : []
  ]
}

export function results (rows: readonly Row[]): string {
  return `# Results

${
    [`${new Date().toISOString().slice(0, 10)}`, ...describeMachine(), ...warnings()].map((line) => `- ${line}`).join(
      '\n'
    )
  }

${table(rows)}
## How they are measured

- The server has one CPU to itself. The load and the stand-in for Kubiya have the other one.
- A figure is the CPU time of the server's process per unit, user and system. Service and peers take turns in short slices, and the median counts.
- Slices during which the host gave 6 % or more of the CPU time to others are dropped. If all are such, the third with the least counts. \`steal\` is the largest share in a slice that counts.
- **Fan-out**: 2 000 WebSockets. Ten events of about 900 bytes become visible every 250 ms, or one every 50 ms, and the service polls as often. All other settings have their defaults. The README loop sends each event to each client. The net loop writes one buffer per batch to each socket. nginx with nchan receives each event by HTTP, and only its own CPU counts.
- **Filters**: 200 distinct filters, each a name and a text, at a hundred events a poll. A tenth of the events matches each filter. The peer has one filter at ten events a poll, so each subscriber receives as many events.
- **Compressed**: the same events for clients that offer \`permessage-deflate\`, with and without \`server_no_context_takeover\`. One client inflates and checks what it receives.
- **Latency**: until the last of 10 000 sockets *has read* the last event. One process on the other CPU reads all sockets. A further process there measures lists on 4 connections meanwhile.
- **Memory**: resident memory before and after, per subscriber. Both servers collect garbage all the time.
- **Cache**: 32 connections. The service writes its request log and sends request ids and security headers. The bare route and nginx send as many bytes.
- **Misses**: the upstream answers after three seconds; by then all requests have arrived.
- **Upstream calls**: with events coming, polls every 500 ms.
- **Recent**: the polling programs ask once a second for what is not older than the newest event that they know. The viewers ask once a second for the default list. The cached answer of Kubiya comes from a service whose log holds one event.
- **Counts**: events of the sandbox. Adding is timed over 200 000 events after a warm-up. The peer filters a plain array of parsed events and counts with maps. Memory is the growth of heap and external memory.
- **Console**: in Chromium without a window, on the same CPUs as all that it talks to. The first event comes from the service and the stand-in for Kubiya, in a new profile each time. The load comes from a server that sends frames alone; the page paints a frame whenever the browser asks for one.
- **Export**: events of about 900 bytes, one a second. The peer follows the list page by page with 1 000 events a page; nothing it reads is on the cache. Growth: the largest resident memory during an export, looked at every 20 ms, against the memory after one list. No garbage collection is forced.
- **Console**: Chromium without windows, in a new profile for each first sight, after it has shown a text once. For the stream of events, a stand-in serves the built page. The page records the time between its animation frames.
- **Start**: from exec to the first 200 of \`/livez\`, in production with a key, on the same Node as the bench.
`
}
