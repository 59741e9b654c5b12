import type { LogCursor } from '../audit/cursor.ts'
import type { AuditEvent } from '../audit/event.ts'
import type { SortKey } from '../audit/sort-key.ts'
import type { TimeRange } from '../audit/time-range.ts'
import type { Encodable, Representation, ResponseForm } from './content-encoding.ts'

/** A position in the live log. */
export interface LogPosition {
  readonly epoch: string
  readonly offset: number
}

/** The live log, as the archive sees it. */
export interface LogView {
  /** The end of the log. */
  position (): LogCursor
  /** Whether a matching event entered the log after a position. Also true when the log no longer reaches back. */
  hasNew (since: LogPosition, matches: (event: AuditEvent) => boolean): boolean
  /** The event with this id, if the log holds it and may show it. */
  find (id: string): AuditEvent | undefined
}

/** How long a response may be served. */
export interface Validity {
  /** When Kubiya had answered, or when the poll began that the log's rows are known from: monotonic, milliseconds. */
  readonly readMs: number
  /** What answered instead of Kubiya: the event log, or the table of counts. */
  readonly heldIn?: 'log' | 'memory'
  readonly freshMs: number
  /** Up to here the log holds no event that the response lacks. Missing if new events cannot change the response. */
  readonly logPosition?: LogPosition
}

/** A complete answer with a body. */
export interface ContentResponse extends Validity {
  readonly status: 200
  /** Weak validator (RFC 9110 §8.8.1) over the events in the body. */
  readonly etag: string
  /** Headers of the 200 and of its 304, names and values in turn; `etag` is among them. */
  readonly headers: readonly string[]
  readonly identity: Representation
  /** The position of the last event, behind which the next page begins. Set on pages of Kubiya's own list. */
  readonly last?: SortKey
}

/** No such event or session. Its body is a problem, which contains the id of the request, so it is written per request. */
export interface AbsenceResponse extends Validity {
  readonly status: 404
  /** What is not there. Missing: an event. */
  readonly subject?: 'session'
  /** The range that was scanned. */
  readonly window: TimeRange
  /** Number of events that were scanned. */
  readonly scanned: number
  /** Whether the scan covered the whole range. */
  readonly complete: boolean
}

export type CacheableResponse = ContentResponse | AbsenceResponse

/** What the cache records about a response. */
export interface CacheRecord extends Pick<Encodable, 'encodings' | 'onEncoded'> {
  logPosition?: LogPosition
  readonly notModified: ResponseForm
  /** Whether new events caused the request for this response: it is not refreshed again at once. */
  isRefresh: boolean
  /** When Kubiya was last asked for this key: monotonic time, milliseconds. */
  readonly forwardedMs: number
}

export type StoredContent = ContentResponse & CacheRecord
export type StoredResponse = (ContentResponse | AbsenceResponse) & CacheRecord

/** `Cache-Control` of a response that can change: a client revalidates it each time. */
export const MUST_REVALIDATE = 'private, no-cache'

/** `Cache-Control` of a response that a client may reuse for as long as it is fresh here. */
export function cacheableFor (freshMs: number): string {
  return `private, max-age=${Math.floor(freshMs / 1000)}`
}
