import { startProgram } from '../child.ts'
import { format, type Row } from '../row.ts'
import { STREAM, startService } from '../service.ts'
import { percentile } from '../slices.ts'
import { TARGETS } from '../targets.ts'

const SUBSCRIBERS = 10_000
const EVENTS = 10
const LIST = '/api/v1/audit/events?page_size=20&start_time=-1h&end_time=-30m'

/** From Kubiya's answer to the last of many subscribers, with callers who ask for lists meanwhile. */
export async function latency (isQuick: boolean): Promise<Row[]> {
  const rounds = isQuick ? 12 : 40
  const service = await startService({ POLL_INTERVAL_MS: '250', POLL_MAX_INTERVAL_MS: '250' })
  const [generator, callers] = [startProgram('measuring', 'subscribers'), startProgram('measuring', 'callers')]
  await generator.ask({ open: { port: service.port, paths: [STREAM], count: SUBSCRIBERS } })
  const times: number[] = []
  const rest: number[] = []
  for (let round = -5; round < rounds; round++) {
    const forMs = 900
    const load = callers.ask<{ latenciesMs: number[], statuses: Record<string, number> }>({ load: { port: service.port, path: LIST, connections: 4, pauseMs: 10, forMs } })
    const met = generator.ask<string>({ until: { more: EVENTS * SUBSCRIBERS, withinMs: 20_000 } })
    await service.upstream.ask({ make: EVENTS })
    const at = BigInt(await met)
    const { at: sentAt } = await service.upstream.ask<{ at: string }>({ sent: true })
    const { latenciesMs, statuses } = await load
    if (Object.keys(statuses).join() !== '200') throw new Error(`lists were answered with ${JSON.stringify(statuses)}`)
    if (round < 0) continue
    times.push(Number(at - BigInt(sentAt)) / 1e6)
    rest.push(...latenciesMs)
  }
  await Promise.all([generator, callers, service].map((child) => child.stop()))
  const last = percentile(times, 99)
  const restMs = percentile(rest, 99)
  return [
    { figure: `Kubiya's answer sent → ${EVENTS} events read by the last of ${SUBSCRIBERS} subscribers, p99 (ms)`, measured: `p50 ${format(percentile(times, 50))}, p99 ${format(last)} of ${times.length}`, value: last, bound: TARGETS.latency.lastMs },
    { figure: 'Lists meanwhile, p99 (ms)', measured: `p99 ${format(restMs)}`, value: restMs, bound: TARGETS.latency.restMs }
  ]
}
