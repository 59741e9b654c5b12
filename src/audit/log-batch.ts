import type { AuditEvent } from './event.ts'
import type { Instant } from './instant.ts'

/**
 * Why events may be missing. `history-evicted`: the log evicted them before delivery. `replay-limit`: the past holds
 * more than one replay may deliver. `upstream-outage`: Kubiya could not be read. `too-large`: an event exceeds the
 * bytes that are read of one answer.
 */
export type GapReason = 'history-evicted' | 'replay-limit' | 'upstream-outage' | 'too-large'

/** An interval, both ends included, in which events may be missing. */
export interface Gap {
  readonly from: Instant
  readonly to: Instant
  readonly reason: GapReason
}

export interface NewEvent {
  readonly event: AuditEvent
  /** Its instant lay before the log's newest when it entered. One value for everyone. */
  readonly late: boolean
}

/**
 * Something that could not be read: it takes a place of its own among the events, so that nobody misses the word of it.
 */
export interface NewGap {
  readonly gap: Gap
}

export type NewEntry = NewEvent | NewGap

/** What the poller saw for the first time, in the order in which everyone will get it. */
export interface Announcement {
  readonly entries: readonly NewEntry[]
  /**
   * Where everything is seen that is not later than the lateness: the newest instant met, never past now, and never
   * more than the lateness past what the last whole read leaves in doubt. Whoever resumes from there minus the lateness
   * misses nothing.
   */
  readonly highWater: Instant
}

/** An announcement with its place in the log. */
export interface Batch extends Announcement {
  readonly epoch: string
  /** Offset of the first entry; the others follow without a hole. */
  readonly first: number
}
