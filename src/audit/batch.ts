import type { AuditEvent } from './event.ts'
import type { Instant } from './instant.ts'

export interface FreshEvent {
  readonly event: AuditEvent
  /** Its instant lay before the log's newest when it entered. One value for everyone. */
  readonly late: boolean
}

/** Events that the tail saw for the first time, in the order in which everyone will get them. */
export interface Announcement {
  readonly events: FreshEvent[]
  /** The newest instant that the tail has seen, these events included; never past now. */
  readonly highWater: Instant
}

/** An announcement with its place in the log. */
export interface Batch extends Announcement {
  readonly epoch: string
  /** Offset of the first event; the others follow without a hole. */
  readonly first: number
}
