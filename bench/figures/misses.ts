import { startProgram } from '../child.ts'
import { openFilesLimit } from '../machine.ts'
import type { Row } from '../row.ts'
import { startService } from '../service.ts'
import { TARGETS } from '../targets.ts'

const CALLERS = 10_000
const SPARE_FILES = 500
const ANSWER_AFTER_MS = 3000

/** Equal questions at once, before anything is on the cache; the first caller hangs up. */
export async function misses (): Promise<Row[]> {
  const count = Math.min(CALLERS, openFilesLimit() - SPARE_FILES)
  const service = await startService()
  const callers = startProgram('measuring', 'callers')
  await service.upstream.ask({ delay: ANSWER_AFTER_MS })
  const path = '/api/v1/audit/events?category_name=misses&start_time=2020-01-01T00:00:00Z&end_time=2020-01-02T00:00:00Z'
  const { 200: answered = 0, closed = 0, ...others } = await callers.ask<Record<string, number>>({
    crowd: { port: service.port, path, count }
  })
  const calls = await service.upstream.ask<number>({ named: true })
  await Promise.all([callers, service].map((child) => child.stop()))
  const errors = Object.values(others).reduce((sum, each) => sum + each, 0) + Math.max(0, closed - 1)
  if (answered + closed + errors < count) throw new Error(`${count} asked, ${answered} were answered`)
  return [
    {
      figure: `Upstream calls for ${count} equal misses at once`,
      measured: `${calls}, with ${answered} answers`,
      value: calls,
      bound: TARGETS.misses.calls
    },
    {
      figure: 'Errors among them, the first caller having hung up',
      measured: `${errors}`,
      value: errors,
      bound: TARGETS.misses.errors
    }
  ]
}
