import type { GapReason } from './audit/log-batch.ts'
import type { FailureKind, Quirk, Purpose } from './audit/source.ts'

/** What became of a question to the cache (RFC 9211's words where it has them). */
export type CacheLookup =
  | 'hit'
  | 'stale-while-revalidate' // given while it is refreshed
  | 'miss'
  | 'stale' // Kubiya was asked: what was kept is too old, or events have come
  | 'request' // Kubiya was asked: the caller wanted that
  | 'stale-if-error' // given because Kubiya failed
  | 'failed' // Kubiya failed, and there was nothing to give

export type TransportKind = 'websocket' | 'sse'

/**
 * Moments that are counted. Called where they happen, on the hot paths too: none of them may cost more than a few
 * additions.
 */
export interface Instruments {
  /** An answer has gone out. `route` is the pattern that answered, `none` where there is none. */
  requestCompleted (route: string, status: number, durationMs: number): void
  /** The cache was asked; `isCollapsed`: it waited for a call that was under way. Once for each question. */
  cacheLookup (result: CacheLookup, isCollapsed: boolean): void
  /** An entry had to go for want of room. */
  cacheEvicted (): void
  /** A request to Kubiya has ended. */
  upstreamRequestCompleted (purpose: Purpose['kind'], outcome: 'ok' | FailureKind, durationMs: number): void
  /** So many rows of an answer of Kubiya's were left out, each time that they are met. */
  rowsSkipped (quirk: Quirk, rows: number): void
  /** A poll has ended, all its requests included. */
  pollCompleted (outcome: 'ok' | FailureKind, durationMs: number): void
  /** So many rows of a poll were known and went no further. */
  duplicatesDropped (rows: number): void
  /** A batch has entered the log. */
  eventsAppended (events: number, late: number): void
  /** An event that became visible just now has entered the log, so long after its instant. */
  deliveryLag (lagMs: number): void
  streamBegan (transport: TransportKind): void
  /** `code` is a WebSocket's close code, or what it would have been. Once for each stream that began. */
  streamEnded (transport: TransportKind, code: number): void
  /** Events and gaps were handed to a listener's connection. */
  delivered (transport: TransportKind, prepared: { readonly events: number, readonly gaps: readonly GapReason[] }): void
  /** A listener's backlog is full … */
  blocked (): void
  /** … and is not any more, or the subscriber is gone. */
  unblocked (): void
}

const nothing = () => {}

/** Counts nothing. */
export const silentInstruments: Instruments = {
  requestCompleted: nothing,
  cacheLookup: nothing,
  cacheEvicted: nothing,
  upstreamRequestCompleted: nothing,
  rowsSkipped: nothing,
  pollCompleted: nothing,
  duplicatesDropped: nothing,
  eventsAppended: nothing,
  deliveryLag: nothing,
  streamBegan: nothing,
  streamEnded: nothing,
  delivered: nothing,
  blocked: nothing,
  unblocked: nothing
}
