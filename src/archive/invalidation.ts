import type { LogCursor } from '../audit/cursor.ts'
import type { AuditEvent } from '../audit/event.ts'
import type { StoredResponse, LogPosition } from './response-cache.ts'

/** What the archive asks of the live log. */
export interface LogView {
  /** Where the log stands now. */
  position (): LogCursor
  /** Whether an event that matches has entered since; true where that cannot be told any more. */
  hasNew (since: LogPosition, matches: (event: AuditEvent) => boolean): boolean
  /** The event with this id, where the log holds it and may show it. */
  find (id: string): AuditEvent | undefined
}

/** What an answer is about. */
export interface Coverage {
  /** The test for events that it would show, as of now. */
  matches (): (event: AuditEvent) => boolean
  /** Whether an event that it would not show now stays out of it. */
  readonly isSteady: boolean
}

/** Tells whether events have entered the log that an entry would have to show; looks at each as seldom as can be. */
export function createInvalidation (log: LogView): (entry: StoredResponse, interest: Coverage) => boolean {
  const looked = new WeakMap<StoredResponse, LogPosition>() // Up to there the log holds nothing for an entry.

  return function hasNews (entry, { isSteady, matches }) {
    if (entry.logPosition === undefined) return false
    const head = log.position()
    if (isSame(head, entry.logPosition)) return false
    const since = looked.get(entry) ?? entry.logPosition
    if (isSame(head, since)) return false
    if (log.hasNew(since, matches())) return true
    if (isSteady) looked.set(entry, head)
    return false
  }
}

function isSame (a: LogPosition, b: LogPosition): boolean {
  return a.offset === b.offset && a.epoch === b.epoch
}
