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

- The server has one CPU to itself, what loads it (and the stand-in for Kubiya) another. Figures are CPU time of the server's process, user and system, per unit, in short slices in which service and peers take turns; slices during which the host gave 6 % or more of the CPU time to others are dropped, or, where all are such, the third with the least is kept. Medians. \`steal\` is the largest share in a slice that counts.
- **Fan-out**: 2 000 WebSockets. Every 250 ms ten events (every 50 ms one) of about 900 bytes become visible, and the service polls as often; all else is at its defaults, so that a poll meets the last seconds anew, and a sweep two minutes. The README loop sends each event to each client by itself; the net loop writes one prebuilt buffer a batch to each socket; nginx with nchan is given each event by HTTP, and only its own CPU counts.
- **Filters**: 200 distinct ones (a name and a text), each of which a tenth of the events matches, at a hundred events a poll; against one filter at ten events a poll: the same number for each subscriber.
- **Compressed**: the same events for clients that offer \`permessage-deflate\`, with and without \`server_no_context_takeover\`. One client inflates what it gets and checks it.
- **Latency**: until the last of 10 000 sockets *has read* the last event, the reading being done by one process on the other CPU; lists come from 4 connections meanwhile, measured by a process on that other CPU, too.
- **Memory**: resident memory before and after, per subscriber; both servers collect garbage all the time.
- **Shelf**: 32 connections; request log, request ids and security headers on. Bare route and nginx send as many bytes.
- **Misses**: the upstream answers after three seconds; all have asked by then.
- **Upstream calls**: with events coming, polls every 500 ms.
- **Start**: from exec to the first 200 of \`/livez\`, in production with a key, on the same Node as the bench.
`
}
