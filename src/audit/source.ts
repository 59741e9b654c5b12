import type { AuditEvent } from './event.ts'
import type { AuditFilter } from './filter.ts'
import type { TimeRange } from './time-range.ts'

export type Direction = 'asc' | 'desc'

/** Who pays for an upstream request. Only requests of callers are retried. */
export type Purpose = { readonly kind: 'poller' } | CallerPurpose

export interface CallerPurpose {
  readonly kind: 'caller'
  /** Identifies the caller. */
  readonly key: string
  /** Aborted when nobody waits for the answer any more. A request that was not sent yet is then dropped. */
  readonly signal?: AbortSignal
  /**
   * Work over many pages. It gets at most half of the minute's budget, and leaves a quarter of the day's. `signal` also
   * ends its requests in progress.
   */
  readonly isBulk?: boolean
}

export const POLLER: Purpose = { kind: 'poller' }

export interface SourceQuery {
  /** The source applies as much of it as it can. The reader filters the rows again. */
  readonly filter: AuditFilter
  readonly window: TimeRange
  readonly direction: Direction
  /** From 1. */
  readonly page: number
  readonly pageSize: number
}

/** One complete upstream answer. */
export interface Answer {
  readonly ok: true
  /** In the upstream's order and not filtered yet. The ids number exact duplicates within this answer. */
  readonly events: AuditEvent[]
  /** Rows in the answer, also those that are not events: page numbers count them. */
  readonly rows: number
  /** For each event that is too large to be read: the number of `events` before it. */
  readonly unreadable?: readonly number[]
  /** Whether the log ends here. A short answer proves it only after a longer one (`undefined`: not known). */
  readonly end: boolean | undefined
  /** The upstream's clock at the answer, milliseconds since 1970. `undefined`: the answer had no `Date`. */
  readonly upstreamMs: number | undefined
}

/** `event: undefined`: the source found no event by this id. That does not prove that there is none. */
export interface Found {
  readonly ok: true
  readonly event: AuditEvent | undefined
}

export type FailureKind =
  | 'unauthorized' // 401: the credential is refused
  | 'forbidden' // 403: the credential does not allow this request
  | 'throttled' // 429: the upstream's rate limit
  | 'budget' // the service's request budget is spent; no request was sent
  | 'share' // the caller's share is spent; no request was sent
  | 'timeout' // no complete answer within the deadline
  | 'unavailable' // connection refused or reset, unknown host, 5xx
  | 'invalid' // the answer violates the protocol
  | 'too-large' // the answer is larger than the limit
  | 'unfinished' // a page that must be full needs more reads than one request may make
  | 'page-too-large' // a page that must be full holds more bytes than one answer may
  | 'overloaded' // this service has no memory for another answer; no request was sent

export interface Failure {
  readonly ok: false
  readonly kind: FailureKind
  /** The wait that the upstream or the budget asks for. `undefined`: not known. */
  readonly retryAfterMs?: number
}

/** A deviation of the upstream from the query or the protocol. */
export type Quirk =
  | 'ignores-filter'
  | 'ignores-bounds'
  | 'ignores-sort'
  | 'sorts-by-second'
  | 'sends-what-is-no-event'
  | 'sends-unreadable-events'

/**
 * The port to the upstream log. Failures are values: nothing is thrown. `read` returns one upstream answer, complete
 * and unchanged. It does not guarantee the order, the filter or the bounds of the query.
 */
export interface AuditSource {
  read (query: SourceQuery, purpose: Purpose): Promise<Answer | Failure>
  find (id: string, purpose: CallerPurpose): Promise<Found | Failure>
  /**
   * Reports that an answer differs from what was asked. The first report of each quirk is logged. `skipped` is the
   * number of rows of this answer that are left out; a row counts again in each answer that contains it.
   */
  reportQuirk (quirk: Quirk, skipped?: number): void
  /** Quirks that were reported so far. Later reads expect them from the start. */
  readonly quirks: ReadonlySet<Quirk>
}
