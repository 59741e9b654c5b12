import type { GapReason } from './audit/log-batch.ts'
import type { FailureKind, Quirk, Purpose } from './audit/source.ts'

/** The result of a cache lookup, in the words of RFC 9211 where it has them. */
export type CacheLookup =
  | 'hit'
  | 'log' // served out of the live log, or from an answer that was made out of it
  | 'memory' // counted in the table of counts, or served from an answer that was counted there
  | 'stale-while-revalidate' // served while it is refreshed
  | 'miss'
  | 'stale' // read from Kubiya: the cached answer was too old, or events arrived
  | 'request' // read from Kubiya: the caller demanded it
  | 'stale-if-error' // served because Kubiya failed
  | 'failed' // Kubiya failed, and no answer was cached

/** How the answer of an export ended. */
export type ExportOutcome = 'complete' | 'incomplete' | 'cut'

export type TransportKind = 'websocket' | 'sse'

/**
 * What the service counts. The methods are called on hot paths, so none of them may cost more than a few additions.
 */
export interface Instruments {
  /** An answer was sent. `route` is the pattern of its route, or `none`. */
  requestCompleted (route: string, status: number, durationMs: number): void
  /** One cache lookup. `isCollapsed`: it shared a request to Kubiya that was in progress. */
  cacheLookup (result: CacheLookup, isCollapsed: boolean): void
  /** An entry was evicted to make room. */
  cacheEvicted (): void
  /** A request to Kubiya ended. */
  upstreamRequestCompleted (purpose: Purpose['kind'], outcome: 'ok' | FailureKind, durationMs: number): void
  /** Rows of an answer of Kubiya were left out, each time that they occur. */
  rowsSkipped (quirk: Quirk, rows: number): void
  /** A poll ended, with all its requests. */
  pollCompleted (outcome: 'ok' | FailureKind, durationMs: number): void
  /** Rows of a poll were already known. */
  duplicatesDropped (rows: number): void
  /** A batch entered the log. */
  eventsAppended (events: number, late: number): void
  /** The time from an event's instant to its entry into the log, for an event that has just become visible. */
  deliveryLag (lagMs: number): void
  /** A closed hour was read again: the number of events by which the table of counts differed. */
  driftMeasured (events: number): void
  streamBegan (transport: TransportKind): void
  /** Once for each stream that began. `code` is a WebSocket close code, also for Server-Sent Events. */
  streamEnded (transport: TransportKind, code: number): void
  exportBegan (): void
  /** Once for each export that began. `cut`: its answer has no end. */
  exportEnded (outcome: ExportOutcome, events: number, durationMs: number): void
  /** Events and gaps were written to a subscriber's connection. */
  delivered (transport: TransportKind, prepared: { readonly events: number, readonly gaps: readonly GapReason[] }): void
  /** A subscriber's backlog is full. */
  blocked (): void
  /** A subscriber's backlog is no longer full, or the subscriber left. */
  unblocked (): void
}

const nothing = () => {}

/** Instruments that count nothing. */
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
  driftMeasured: nothing,
  streamBegan: nothing,
  streamEnded: nothing,
  exportBegan: nothing,
  exportEnded: nothing,
  delivered: nothing,
  blocked: nothing,
  unblocked: nothing
}
