import type { AuditEvent } from './event.ts'
import type { AuditFilter } from './filter.ts'
import type { TimeRange } from './time-range.ts'

export type Direction = 'asc' | 'desc'

/** On whose behalf the upstream is asked: it is charged to that one. Only callers' calls are tried again. */
export type Purpose = { readonly kind: 'poller' } | CallerPurpose

export interface CallerPurpose {
  readonly kind: 'caller'
  /** Names the caller. */
  readonly key: string
  /** Aborted when nobody waits for the answer any more: what has not gone out need not. */
  readonly signal?: AbortSignal
}

export const POLLER: Purpose = { kind: 'poller' }

export interface SourceQuery {
  /** Narrowed as far as the source can; its rows are judged again by whoever asked. */
  readonly filter: AuditFilter
  readonly window: TimeRange
  readonly direction: Direction
  /** From 1. */
  readonly page: number
  readonly pageSize: number
}

/** One upstream answer, whole. */
export interface Answer {
  readonly ok: true
  /** In the upstream's order, judged by nobody yet, with ids that count exact duplicates within this answer. */
  readonly events: AuditEvent[]
  /** Rows in the answer, those that are no events included: what page numbers count. */
  readonly rows: number
  /** For each event that holds too much to be read: how many of `events` stand before it. */
  readonly unreadable?: readonly number[]
  /** Whether the log ends here: a short answer is the end only if a longer one was seen (`undefined`: not known). */
  readonly end: boolean | undefined
  /** The upstream's clock when it answered, milliseconds since 1970, where it told. */
  readonly upstreamMs: number | undefined
}

/** `event: undefined` when the source has no answer to give by id, which is not yet "there is none". */
export interface Found {
  readonly ok: true
  readonly event: AuditEvent | undefined
}

export type FailureKind =
  | 'unauthorized' // 401: the credential is refused
  | 'forbidden' // 403: the credential may not do this
  | 'throttled' // 429: the upstream's rate limit
  | 'budget' // our own request budget is spent: the upstream was not asked
  | 'share' // what this caller may ask for is spent: the upstream was not asked
  | 'timeout' // no whole answer within the deadline
  | 'unavailable' // refused, reset, unresolvable, 5xx
  | 'invalid' // an answer that is not the protocol
  | 'too-large' // an answer over the byte cap
  | 'overloaded' // this service has no memory left for another answer: the upstream was not asked

export interface Failure {
  readonly ok: false
  readonly kind: FailureKind
  /** How long the upstream or the budget asks to wait, where known. */
  readonly retryAfterMs?: number
}

/** What an upstream was caught at. */
export type Quirk =
  | 'ignores-filter'
  | 'ignores-bounds'
  | 'ignores-sort'
  | 'sorts-by-second'
  | 'sends-what-is-no-event'
  | 'sends-unreadable-events'

/**
 * The port to the upstream log. Outcomes are values: nothing is thrown. `read` gives one upstream answer, whole or not
 * at all; it promises neither order nor filter nor bounds, only that what it gives is what the upstream answered.
 */
export interface AuditSource {
  read (query: SourceQuery, purpose: Purpose): Promise<Answer | Failure>
  find (id: string, purpose: CallerPurpose): Promise<Found | Failure>
  /**
   * Reports that an answer differs from what was asked. The first report of each quirk is logged. `skipped` is the
   * number of rows of this answer that are left out; a row counts again in each answer that contains it.
   */
  reportQuirk (quirk: Quirk, skipped?: number): void
  /** Quirks noticed so far, so that later reads reckon with them from the start. */
  readonly quirks: ReadonlySet<Quirk>
}
