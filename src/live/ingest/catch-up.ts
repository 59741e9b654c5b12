import { foldAhead } from '../../audit/folded-text.ts'
import type { Instant } from '../../audit/instant.ts'
import { compareKeyedEvents, type KeyedEvent } from '../../audit/sort-key.ts'
import { POLLER, type Failure } from '../../audit/source.ts'
import type { BisectingSource } from '../../scan/bisection.ts'
import { scan } from '../../scan/scanner.ts'
import type { SkippedRange } from '../../scan/skipped-range.ts'

export interface CatchUpOptions {
  readonly source: BisectingSource
  readonly start: Instant
  readonly pageSize: number
  /** The most rows that are read from an upstream that does not sort. */
  readonly scanLimit: number
}

/** The rows that can be published after one more answer. */
export interface CatchUpStep {
  readonly ok: true
  /** In the order of their instants, also from step to step. */
  readonly rows: readonly KeyedEvent[]
  readonly skipped: SkippedRange | undefined
  readonly upstreamMs: number | undefined
}

/** A read from a start to the newest event. It takes several polls if some of them fail. */
export interface CatchUp {
  /** Reads one more answer. `undefined`: it has caught up. After a failure it sends the same query again. */
  next (): Promise<CatchUpStep | Failure | undefined>
  /** Whether the read took more than one answer. A few events that arrived between two answers do not count. */
  isLong (): boolean
  /** Whether a page was smaller than `pageSize`, because a larger one failed. */
  isReduced (): boolean
}

const FEW = 10
const SMALL_SHARE = 0.1

/** Begins a read. Unsorted rows are held until every row before them was read. */
export function createCatchUp ({ pageSize, scanLimit, source, start }: CatchUpOptions): CatchUp {
  const steps = scan(source, {
    filter: {},
    window: { start },
    direction: 'asc',
    pageSize,
    scanLimit,
    purpose: POLLER
  })
  let held: KeyedEvent[] = []
  let first: number | undefined // Events in the first answer …
  let further = 0 // … and in all that followed.
  let isReduced = false

  return { next, isReduced: () => isReduced, isLong: () => further > Math.max(FEW, SMALL_SHARE * (first ?? 0)) }

  async function next (): Promise<CatchUpStep | Failure | undefined> {
    const { done, value: step } = await steps.next()
    if (done === true) return undefined
    if (!step.ok) return step
    if (first === undefined) first = step.scanned
    else further += step.scanned
    const { skipped, upstreamMs, reached } = step
    isReduced ||= source.isReduced()
    for (const { event } of step.rows) await foldAhead(event.item) // Streams filter them in one turn of the event loop.
    const all = held.length === 0 ? step.rows : [...held, ...step.rows].sort(compareKeyedEvents('asc'))
    const isDue = ({ key }: KeyedEvent) => step.end || (reached !== undefined && key.instant <= reached)
    held = all.filter((row) => !isDue(row))
    return { ok: true, rows: all.filter(isDue), skipped, upstreamMs }
  }
}
