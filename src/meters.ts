import type { GapReason } from './audit/batch.ts'
import type { FailureKind, Habit, Purpose } from './audit/source.ts'

/** What became of a question to the shelf (RFC 9211's words where it has them). */
export type ShelfResult =
  | 'hit'
  | 'stale-while-revalidate' // given while it is refreshed
  | 'miss'
  | 'stale' // Kubiya was asked: what was kept is too old, or events have come
  | 'request' // Kubiya was asked: the caller wanted that
  | 'stale-if-error' // given because Kubiya failed
  | 'failed' // Kubiya failed, and there was nothing to give

export type OutletKind = 'websocket' | 'sse'

/** Moments that are counted. Called where they happen, on the hot paths too: none of them may cost more than a few additions. */
export interface Meters {
  /** An answer has gone out. `route` is the pattern that answered, `none` where there is none. */
  answered (route: string, status: number, durationMs: number): void
  /** The shelf was asked; `isCollapsed`: it waited for a call that was under way. Once for each question. */
  shelfAsked (result: ShelfResult, isCollapsed: boolean): void
  /** An entry had to go for want of room. */
  shelfEvicted (): void
  /** A request to Kubiya has ended. */
  upstreamAsked (purpose: Purpose['kind'], outcome: 'ok' | FailureKind, durationMs: number): void
  /** So many rows of an answer of Kubiya's were left out, each time that they are met. */
  rowsSkipped (habit: Habit, rows: number): void
  /** A poll has ended, all its requests included. */
  polled (outcome: 'ok' | FailureKind, durationMs: number): void
  /** So many rows of a poll were known and went no further. */
  recognised (rows: number): void
  /** A batch has entered the log. */
  entered (events: number, late: number): void
  /** An event that became visible just now has entered the log, so long after its instant. */
  lagged (lagMs: number): void
  streamBegan (outlet: OutletKind): void
  /** `code` is a WebSocket's close code, or what it would have been. Once for each stream that began. */
  streamEnded (outlet: OutletKind, code: number): void
  /** Events and gaps were handed to a listener's connection. */
  delivered (outlet: OutletKind, parcel: { readonly events: number, readonly gaps: readonly GapReason[] }): void
  /** A listener's backlog is full … */
  blocked (): void
  /** … and is not any more, or the listener is gone. */
  unblocked (): void
}

const nothing = () => {}

/** Counts nothing. */
export const silentMeters: Meters = {
  answered: nothing,
  shelfAsked: nothing,
  shelfEvicted: nothing,
  upstreamAsked: nothing,
  rowsSkipped: nothing,
  polled: nothing,
  recognised: nothing,
  entered: nothing,
  lagged: nothing,
  streamBegan: nothing,
  streamEnded: nothing,
  delivered: nothing,
  blocked: nothing,
  unblocked: nothing
}
