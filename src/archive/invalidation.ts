import type { LogCursor } from '../audit/cursor.ts'
import type { AuditEvent } from '../audit/event.ts'
import type { LogPosition, StoredResponse } from './stored-response.ts'

/** The live log, as the archive sees it. */
export interface LogView {
  /** The end of the log. */
  position (): LogCursor
  /** Whether a matching event entered the log after a position. Also true when the log no longer reaches back. */
  hasNew (since: LogPosition, matches: (event: AuditEvent) => boolean): boolean
  /** The event with this id, if the log holds it and may show it. */
  find (id: string): AuditEvent | undefined
}

/** Which events a response covers. */
export interface Coverage {
  /** Returns the test for events that belong into the response, as of now. */
  matches (): (event: AuditEvent) => boolean
  /** Whether an event that does not belong into the response now never will. */
  readonly isStable: boolean
}

/**
 * Whether an event entered the log that the response does not show (RFC 9111 §4.4). The position up to which the log
 * was checked is kept in the response, so that each entry of the log is checked once.
 */
export function isInvalidated (response: StoredResponse, log: LogView, { isStable, matches }: Coverage): boolean {
  const since = response.logPosition
  if (since === undefined) return false
  const end = log.position()
  if (end.offset === since.offset && end.epoch === since.epoch) return false
  if (log.hasNew(since, matches())) return true
  if (isStable) response.logPosition = end
  return false
}
