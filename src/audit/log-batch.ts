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
  /** Whether its instant was before the log's newest when it entered the log. The same value for every subscriber. */
  readonly late: boolean
  /** For an event without an instant: the instant of the dated event that followed it, or when it was read. */
  readonly notAfter?: Instant
}

/** Something that could not be read. It has its own offset among the events, so no subscriber misses the gap. */
export interface NewGap {
  readonly gap: Gap
}

export type NewEntry = NewEvent | NewGap

/** What the poller read for the first time, in the order in which every subscriber receives it. */
export interface Announcement {
  readonly entries: readonly NewEntry[]
  /**
   * The newest instant that was read. It is at most now, and at most the lateness beyond the part that the last full
   * read left in doubt. A stream that resumes from `highWater` minus the lateness misses nothing.
   */
  readonly highWater: Instant
}

/** An announcement with its offsets in the log. */
export interface Batch extends Announcement {
  readonly epoch: string
  /** Offset of the first entry. The offsets of the others follow it without a hole. */
  readonly first: number
}
