import type { Gap } from '../../audit/log-batch.ts'
import type { LogCursor, StreamCursor } from '../../audit/cursor.ts'
import type { PreparedBatch } from '../transport/prepared-batch.ts'

/** One part of a subscriber's way from its start to the live log: a past, or the live log itself. */
export interface Stage {
  /**
   * Returns what is due next. A batch counts as delivered. `room` is the number of bytes that may be sent; it is
   * infinite while nothing is unsent, so that a frame larger than the backlog goes out alone.
   */
  next (room: number): StageResult
  /** Where the subscriber would resume. */
  position (): StreamCursor
  close (): void
}

export type StageResult = PreparedBatch | Pause | StageEnd

/**
 * Why there is no batch now.
 * - `wait`: nothing is due until the stage calls back or the log grows.
 * - `full`: a frame is due that is larger than `room`.
 * - `yield`: more may be due, but other subscribers have their turn first.
 */
export type Pause = typeof WAIT | typeof FULL | typeof YIELD

/**
 * Why the stage is over.
 * - `end`: the log continues from `until`. `gap` names the interval that is missing before it.
 * - `lost`: the position was evicted, or the rows were dropped; the subscriber resumes from its position.
 */
export type StageEnd =
  | { readonly kind: 'end', readonly until: LogCursor, readonly gap?: Gap | undefined }
  | typeof LOST

export const WAIT = { kind: 'wait' } as const
export const FULL = { kind: 'full' } as const
export const YIELD = { kind: 'yield' } as const
export const LOST = { kind: 'lost' } as const
