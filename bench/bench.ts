import { writeFileSync } from 'node:fs'
import { abandon } from './child.ts'
import { aggregates } from './figures/aggregates.ts'
import { exports } from './figures/export.ts'
import { compressed, fanOut, filters } from './figures/fan-out.ts'
import { latency } from './figures/latency.ts'
import { memory } from './figures/memory.ts'
import { misses } from './figures/misses.ts'
import { cache } from './figures/cache.ts'
import { console as page } from './figures/console.ts'
import { recent } from './figures/recent.ts'
import { start } from './figures/start.ts'
import { upstreamCalls } from './figures/upstream-calls.ts'
import { describeMachine } from './machine.ts'
import { results, table, warnings } from './report.ts'
import type { Row } from './row.ts'

// npm run bench [-- [--quick] [--write] [figure …]]: measures, prints a table, and after a whole run writes
// bench/RESULTS.md.

const FIGURES: Record<string, (isQuick: boolean) => Promise<Row[]>> = {
  'fan-out': fanOut,
  filters,
  compressed,
  latency,
  memory,
  cache,
  misses,
  'upstream-calls': upstreamCalls,
  recent,
  aggregates,
  export: exports,
  console: page,
  start
}
const RESULTS = 'bench/RESULTS.md'

const given = process.argv.slice(2)
const isQuick = given.includes('--quick')
const wanted = given.filter((each) => !each.startsWith('--'))
const unknown = wanted.filter((name) => !Object.hasOwn(FIGURES, name))
if (unknown.length > 0) {
  throw new Error(`no such figure: ${unknown.join(', ')}; there are ${Object.keys(FIGURES).join(', ')}`)
}

process.stdout.write([...describeMachine(), ...warnings().map((line) => `!!! ${line}`), ''].join('\n'))
const rows: Row[] = []
let isBroken = false
for (const [name, figure] of Object.entries(FIGURES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  process.stdout.write(`\n${name} …\n`)
  try {
    const measured = await figure(isQuick)
    rows.push(...measured)
    process.stdout.write(table(measured))
  } catch (error) {
    isBroken = true
    abandon()
    rows.push({ figure: name, measured: `failed: ${String(error)}` })
    process.stdout.write(`${String(error instanceof Error ? error.stack : error)}\n`)
  }
}
process.stdout.write(`\n${table(rows)}`)
if (given.includes('--write') || (!isQuick && wanted.length === 0)) writeFileSync(RESULTS, results(rows))
process.exit(isBroken ? 1 : 0)
