import { NANOS_PER_MS, NANOS_PER_SECOND, instantFromMs, type Instant } from '../audit/instant.ts'
import type { AuditSource } from '../audit/source.ts'
import { isWithin, type TimeRange } from '../audit/time-range.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import { bisecting } from '../scan/bisection.ts'
import { scan } from '../scan/scanner.ts'
import { UNDATED } from './chunk.ts'
import type { TableSnapshot } from './event-table.ts'
import { idKeyOf, type IdKey } from './id-set.ts'
import type { LiveTable } from './live-table.ts'

export interface DriftOptions {
  readonly source: AuditSource
  readonly table: Pick<LiveTable, 'coveredFrom' | 'snapshot'>
  /** Kubiya's clock, milliseconds since 1970. */
  readonly nowMs: number
  readonly latenessMs: number
  /** The most events that are compared. A longer hour is not checked. */
  readonly rowLimit: number
}

const HOUR = 3600n * NANOS_PER_SECOND
const PAGE_ROWS = 1000
const KEYS_BETWEEN_PAUSES = 1000
const KEY = 'drift-detector'

/**
 * Reads the last closed hour again and compares it with the table. Returns the number of events that only one of both
 * has. `undefined`: the table does not hold the whole hour, or it could not be read.
 */
export async function measureDrift (options: DriftOptions): Promise<number | undefined> {
  const { latenessMs, nowMs, rowLimit, source, table } = options
  const closed = instantFromMs(nowMs) - BigInt(latenessMs) * NANOS_PER_MS
  const end = closed - closed % HOUR - 1n
  const window = { start: end + 1n - HOUR, end }
  if (!isWhole(table, window)) return undefined
  const shown = new Set<string>()
  const purpose = { kind: 'caller' as const, key: KEY, isBulk: true }
  const request = { filter: {}, window, direction: 'asc' as const, pageSize: PAGE_ROWS, scanLimit: rowLimit, purpose }
  for await (const step of scan(bisecting(source), request)) {
    if (!step.ok || step.skipped !== undefined) return undefined
    for (const { event } of step.rows) if (event.instant !== undefined) shown.add(textOf(idKeyOf(event.id)))
    if (step.end) break
    if (shown.size > rowLimit) return undefined
  }
  const counted = isWhole(table, window) ? await keysIn(table.snapshot(), window) : undefined
  return counted && counted.size + shown.size - 2 * await commonOf(counted, shown)
}

async function commonOf (a: ReadonlySet<string>, b: ReadonlySet<string>): Promise<number> {
  let [common, looked] = [0, 0]
  for (const key of b) {
    if (++looked % KEYS_BETWEEN_PAUSES === 0) await pauseIfDue()
    if (a.has(key)) common++
  }
  return common
}

function isWhole ({ coveredFrom, snapshot }: DriftOptions['table'], { end, start }: Required<TimeRange>): boolean {
  const covered = coveredFrom()
  const hasGap = snapshot().gaps.some(({ from, to }) => from <= end && to >= start)
  return covered !== undefined && covered <= start && !hasGap
}

async function keysIn ({ chunks }: TableSnapshot, window: Required<TimeRange>): Promise<Set<string>> {
  const keys = new Set<string>()
  for (const chunk of chunks) {
    await pauseIfDue()
    if (chunk.most < window.start || chunk.least > window.end) continue
    for (let row = 0; row < chunk.rows; row++) {
      const isDated = ((chunk.flags[row] ?? 0) & UNDATED) === 0
      if (!isDated || !isWithin(positionOf(chunk, row), window)) continue
      keys.add(textOf({ high: chunk.keys[2 * row] ?? 0, low: chunk.keys[2 * row + 1] ?? 0 }))
    }
  }
  return keys
}

function positionOf ({ nanos, seconds }: TableSnapshot['chunks'][number], row: number): Instant {
  return BigInt(seconds[row] ?? 0) * NANOS_PER_SECOND + BigInt(nanos[row] ?? 0)
}

function textOf ({ high, low }: IdKey): string {
  return `${high} ${low}`
}
