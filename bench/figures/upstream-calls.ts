import { setTimeout as sleep } from 'node:timers/promises'
import { startProgram } from '../child.ts'
import { format, type Row } from '../row.ts'
import { STREAM, startService } from '../service.ts'
import { TARGETS } from '../targets.ts'

const POLL_MS = 500
const MANY = 10_000
const FILTERS = 20

/** What Kubiya is asked, with one subscriber and with many. */
export async function upstreamCalls (isQuick: boolean): Promise<Row[]> {
  const windowMs = isQuick ? 5000 : 10_000
  const one = await perMinute(1, [STREAM], windowMs)
  const many = await perMinute(MANY, [STREAM], windowMs)
  const filtered = await perMinute(
    MANY,
    Array.from({ length: FILTERS }, (_, n) => `${STREAM}&category_name=deploy-helper-${n}`),
    windowMs
  )
  const measured = `1 subscriber ${format(one)}, ${MANY} ${format(many)}, ${MANY} with ${FILTERS} filters ${
    format(filtered)
  } a minute`
  return [{
    figure: 'Upstream calls, most of them to fewest',
    measured,
    value: Math.max(one, many, filtered) / Math.min(one, many, filtered),
    bound: TARGETS.upstream.ratio
  }]
}

async function perMinute (subscribers: number, paths: readonly string[], windowMs: number): Promise<number> {
  const service = await startService({ POLL_INTERVAL_MS: String(POLL_MS), POLL_MAX_INTERVAL_MS: String(POLL_MS) })
  const generator = startProgram('measuring', 'subscribers')
  await service.upstream.ask({ tick: { events: 2, everyMs: POLL_MS } })
  await generator.ask({ open: { port: service.port, paths, count: subscribers } })
  await sleep(1000)
  const before = await service.upstream.ask<number>({ requests: true })
  await sleep(windowMs)
  const after = await service.upstream.ask<number>({ requests: true })
  await Promise.all([generator, service].map((child) => child.stop()))
  return (after - before) * 60_000 / windowMs
}
