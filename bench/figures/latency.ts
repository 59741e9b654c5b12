import { freePort, startProgram, type Child } from '../child.ts'
import { format, type Row } from '../row.ts'
import { STREAM, startService } from '../service.ts'
import { percentile } from '../slices.ts'
import { TARGETS } from '../targets.ts'

const SUBSCRIBERS = 10_000
const LIST = '/api/v1/audit/events?page_size=20&start_time=-1h&end_time=-30m'
const WARM_UP = 5
const LIST_FOR_MS = 900
const WITHIN_MS = 20_000

/**
 * From Kubiya's answer to the last of many subscribers, with callers who ask for lists meanwhile; and what plain
 * sockets take.
 */
export async function latency (isQuick: boolean): Promise<Row[]> {
  const rounds = isQuick ? 12 : 60
  const service = await startService({ POLL_INTERVAL_MS: '250', POLL_MAX_INTERVAL_MS: '250' })
  const port = await freePort()
  const net = startProgram('measured', 'peers/net-loop')
  await net.ask({ listen: port })
  const [ours, theirs, callers] = [
    await listenersAt(service.port, STREAM),
    await listenersAt(port, '/stream'),
    startProgram('measuring', 'callers')
  ]
  const rest: number[] = []
  const rows: Row[] = []
  for (const events of [1, 10]) {
    const times: number[] = []
    const floor: number[] = []
    for (let round = -WARM_UP; round < rounds; round++) {
      const asked = callers.ask<{ latenciesMs: number[], statuses: Record<string, number> }>({
        load: { port: service.port, path: LIST, connections: 4, pauseMs: 10, forMs: LIST_FOR_MS }
      })
      const took = await untilLast(
        ours,
        events,
        () => service.upstream.ask({ make: events }),
        async () => (await service.upstream.ask<{ at: string }>({ sent: true })).at
      )
      const { latenciesMs, statuses } = await asked
      if (Object.keys(statuses).join() !== '200') {
        throw new Error(`lists were answered with ${JSON.stringify(statuses)}`)
      }
      let began = ''
      const tookNet = await untilLast(theirs, events, async () => {
        began = await net.ask<string>({ make: events })
      }, () => Promise.resolve(began))
      if (round < 0) continue
      times.push(took)
      floor.push(tookNet)
      rest.push(...latenciesMs)
    }
    rows.push(
      rowOf(
        `Kubiya's answer sent → ${
          events === 1 ? 'an event' : `${events} events`
        } read by the last of ${SUBSCRIBERS} subscribers, p99 (ms)`,
        times,
        { bound: TARGETS.latency.lastMs }
      )
    )
    rows.push(rowOf('The same by a plain net loop', floor))
  }
  await Promise.all([ours, theirs, callers, net, service].map((child) => child.stop()))
  return [...rows, rowOf('Lists meanwhile, p99 (ms)', rest, { bound: TARGETS.latency.restMs })]
}

async function listenersAt (port: number, path: string): Promise<Child> {
  const generator = startProgram('measuring', 'subscribers')
  await generator.ask({ open: { port, paths: [path], count: SUBSCRIBERS } })
  return generator
}

/** Milliseconds from the time that `began` tells until every subscriber has read so many events. */
async function untilLast (
  generator: Child,
  events: number,
  send: () => Promise<unknown>,
  began: () => Promise<string>
): Promise<number> {
  const met = generator.ask<string>({ until: { more: events * SUBSCRIBERS, withinMs: WITHIN_MS } })
  await send()
  const at = BigInt(await met)
  return Number(at - BigInt(await began())) / 1e6
}

function rowOf (figure: string, times: readonly number[], target: Pick<Row, 'bound'> = {}): Row {
  const value = percentile(times, 99)
  return {
    figure,
    measured: `p50 ${format(percentile(times, 50))}, p99 ${format(value)} of ${times.length}`,
    value,
    ...target
  }
}
