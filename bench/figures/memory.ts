import { setTimeout as sleep } from 'node:timers/promises'
import { freePort, startProgram, type Child } from '../child.ts'
import { openFilesLimit } from '../machine.ts'
import { format, ratioRow, type Row } from '../row.ts'
import { startService } from '../service.ts'
import { TARGETS } from '../targets.ts'

const MANY = 10_000
const VERY_MANY = 50_000
const SPARE_FILES = 500
const SETTLE_MS = 6000
// What garbage there is depends on when it was last collected, so both sides collect it all the time.
const COLLECTING = ['--expose-gc', '--import', 'data:text/javascript,setInterval(()=>globalThis.gc(),700).unref()']
const QUIET = '/api/v1/audit/stream?start_time=now&category_name=nobody'

/** What an idle subscriber keeps in memory, all of the service's own state included. */
export async function memory (isQuick: boolean): Promise<Row[]> {
  const most = Math.min(VERY_MANY, openFilesLimit() - SPARE_FILES)
  const bare = await ofBareWs(MANY)
  const many = await ofService(MANY)
  const rows: Row[] = [
    ratioRow(
      `Memory of an idle subscriber at ${MANY}, of a bare ws server`,
      ['service', many],
      ['ws', bare],
      'bytes',
      TARGETS.memory.bareWs
    ),
    {
      figure: `Memory of an idle subscriber at ${MANY} (bytes)`,
      measured: `${format(many)}`,
      value: many,
      bound: TARGETS.memory.bytes
    }
  ]
  if (isQuick) return rows
  const veryMany = await ofService(most)
  const limited = most < VERY_MANY
    ? ` (${VERY_MANY} would need as many open files; the limit here is ${openFilesLimit()})`
    : ''
  return [...rows, {
    figure: `The same at ${most}, of ${MANY}${limited}`,
    measured: `${format(veryMany)} bytes`,
    value: veryMany / many,
    bound: TARGETS.memory.growth
  }]
}

async function ofService (count: number): Promise<number> {
  const service = await startService({ MAX_SUBSCRIBERS: String(VERY_MANY) }, COLLECTING)
  return grown(service, service.port, QUIET, count)
}

async function ofBareWs (count: number): Promise<number> {
  const port = await freePort()
  const server = startProgram('measured', 'peers/bare-ws', COLLECTING)
  await server.ask({ listen: port })
  return grown(server, port, '/', count)
}

async function grown (server: Child, port: number, path: string, count: number): Promise<number> {
  const generator = startProgram('measuring', 'subscribers')
  await generator.ask({ open: { port, paths: [path], count: 50 } }) // Code is compiled, pools are there.
  await generator.ask({ close: true })
  await sleep(SETTLE_MS)
  const before = server.residentBytes()
  await generator.ask({ open: { port, paths: [path], count } })
  await sleep(SETTLE_MS)
  const after = server.residentBytes()
  await Promise.all([generator, server].map((child) => child.stop()))
  return (after - before) / count
}
