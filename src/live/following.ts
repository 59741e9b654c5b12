import type { LogCursor } from '../audit/cursor.ts'
import type { JsonObject } from '../audit/json.ts'
import type { Due } from './due.ts'
import type { Encoder } from './encoding.ts'
import type { EventLog, LogEntry } from './event-log.ts'

/** Goes on from the log: a place in it, and nothing else. */
export interface Following {
  readonly kind: 'following'
  /** In front of the next entry to look at. Kept whole: once the log has let go of the place, it cannot tell its instant any more. */
  place: LogCursor
}

export interface FollowingContext {
  readonly log: EventLog
  readonly encoder: Encoder
}

/**
 * What a listener at this place is to be given next. Looks at so many entries at most; those that do not match are passed,
 * so that the place moves on. `evicted`: the log has let go of the place.
 */
export function nextOfLog (following: Following, { encoder, log }: FollowingContext, matches: (item: JsonObject) => boolean, most: number): Due | undefined | 'evicted' {
  for (let looked = 0; looked < most; looked++) {
    if (following.place.offset < log.oldest()) return 'evicted'
    const entry = log.at(following.place.offset)
    if (entry === undefined) return undefined
    if (isFor(entry, matches)) return { frame: encoder.entry(entry), accept: () => pass(following, entry) }
    pass(following, entry)
  }
  return undefined
}

/** Whether a listener is to be told of an entry: what could not be read may be for anyone. */
export function isFor (entry: LogEntry, matches: (item: JsonObject) => boolean): boolean {
  return 'gap' in entry || matches(entry.event.item)
}

function pass (following: Following, { highWater: instant, offset }: LogEntry): void {
  following.place = { ...following.place, offset: offset + 1, instant }
}
