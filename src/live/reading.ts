import { foldAhead } from '../audit/folded-text.ts'
import type { Instant } from '../audit/instant.ts'
import { compareRows, type Row } from '../audit/place.ts'
import { POLLER, type AuditSource, type Failure } from '../audit/source.ts'
import { walk, type Passage } from '../audit/walk.ts'

export interface ReadingOptions {
  readonly source: AuditSource
  readonly start: Instant
  readonly pageSize: number
  /** Rows to ask for at first. */
  readonly firstSize: number
  /** What was passed by before and may be met again. */
  readonly passages: readonly Passage[]
}

/** What can be passed on after one more answer. */
export interface Portion {
  readonly ok: true
  /** In the order of their instants, from portion to portion too. */
  readonly rows: readonly Row[]
  readonly passed: Passage | undefined
  readonly upstreamMs: number | undefined
  /** How many rows to ask for next; `undefined`: as many as wanted. */
  readonly reducedTo: number | undefined
}

/** A read from a start to the newest event; it may take several polls where some of them fail. */
export interface Reading {
  /** One more answer; `undefined` once it has caught up. After a failure the next one asks the same again. */
  next (): Promise<Portion | Failure | undefined>
  /** Whether what it has read is more than one answer holds. A few events that came between two answers do not make it so. */
  isLong (): boolean
  /** Whether fewer rows were asked for at a time than wanted. */
  isReduced (): boolean
}

const FEW = 10
const SMALL_SHARE = 0.1

/** Begins a read. Rows of an upstream that does not sort are held back until what comes before them is certain. */
export function createReading ({ firstSize, pageSize, passages, source, start }: ReadingOptions): Reading {
  const steps = walk(source, { filter: {}, window: { start }, direction: 'asc', pageSize, firstSize, purpose: POLLER, passages })
  let held: Row[] = []
  let first: number | undefined // Events in the first answer …
  let further = 0 // … and in all that followed.
  let isReduced = firstSize < pageSize

  return { next, isReduced: () => isReduced, isLong: () => further > Math.max(FEW, SMALL_SHARE * (first ?? 0)) }

  async function next (): Promise<Portion | Failure | undefined> {
    const { done, value: step } = await steps.next()
    if (done === true) return undefined
    if (!step.ok) return step
    if (first === undefined) first = step.scanned
    else further += step.scanned
    const { passed, upstreamMs, reached } = step
    isReduced ||= step.isReduced
    for (const { event } of step.rows) await foldAhead(event.item) // Streams judge them in one turn of the event loop.
    const all = held.length === 0 ? step.rows : [...held, ...step.rows].sort(compareRows('asc'))
    const isDue = ({ place }: Row) => step.end || (reached !== undefined && place.instant <= reached)
    held = all.filter((row) => !isDue(row))
    return { ok: true, rows: all.filter(isDue), passed, upstreamMs, reducedTo: step.isReduced ? step.size : undefined }
  }
}
