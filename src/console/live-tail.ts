import { signal, type ReadonlySignal } from '@preact/signals'
import { openAuditFrames } from '../client/client.ts'
import type { AuditFilter, HeartbeatFrame, Reconnection, StatusFrame } from '../client/types.ts'
import { createEventRate } from './event-rate.ts'
import { statusOf } from './row-log.ts'
import type { FilledRowView } from './row-view.ts'
import type { Filter } from './url-state.ts'

/** `off`: nothing is followed. `over`: it failed, and another try would fail again. */
export type LiveState =
  | { readonly kind: 'off' }
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'reconnecting', readonly reason: string, readonly untilMs: number }
  | { readonly kind: 'over', readonly detail: string }

/** What was said last of Kubiya. */
export interface UpstreamState {
  readonly state: string
  /** The age of the last good poll at `atMs`. */
  readonly lagMs: number | undefined
  readonly atMs: number
  /** Since when the state holds, RFC 3339, where it is known. */
  readonly since: string | undefined
}

export interface LiveTailOptions {
  readonly base: URL
  readonly rows: FilledRowView
  readonly credential: () => string | undefined
  /** The service refuses the credential. `wasOpen`: the stream was open until then. */
  readonly onUnauthorized: (wasOpen: boolean) => void
  readonly onUpstream: (state: UpstreamState) => void
  readonly onExpiring: (at: string) => void
}

/** New events, gaps and lost connections, in their order, as rows. */
export interface LiveTail {
  readonly state: ReadonlySignal<LiveState>
  eventsPerSecond (): number
  /** How many events the stream has brought, and how many of them failed. */
  arrived (): { readonly events: number, readonly failed: number }
  /** Forgets the last stream. `isAwaited`: another one follows. */
  reset (isAwaited: boolean): void
  /** Follows a stream until it is aborted. */
  follow (filter: Filter, since: string, abort: AbortSignal): Promise<void>
}

export function createLiveTail (options: LiveTailOptions): LiveTail {
  const { base, credential, rows } = options
  const state = signal<LiveState>({ kind: 'off' })
  let rate = createEventRate()
  let arrived = { events: 0, failed: 0 }
  let wasConnected = false

  return {
    state,
    eventsPerSecond: () => rate.perSecond(Date.now()),
    arrived: () => arrived,
    reset (isAwaited) {
      rate = createEventRate()
      wasConnected = false
      state.value = { kind: isAwaited ? 'connecting' : 'off' }
    },
    follow
  }

  async function follow (filter: Filter, since: string, abort: AbortSignal): Promise<void> {
    const frames = openAuditFrames({
      url: base.href,
      filter: filter as AuditFilter,
      since,
      known: rows.ids(),
      credential: credential() === undefined ? undefined : () => credential() ?? '',
      signal: abort,
      verbose: true, // Each poll tells how far behind Kubiya the list is.
      onHello: connected,
      onStatus: reportUpstream,
      onReconnect: reportLoss,
      onExpiring: ({ at }) => { options.onExpiring(at) }
    })
    try {
      for await (const frame of frames) {
        if (abort.aborted) return
        if (frame.type === 'gap') rows.addGap(frame)
        else if (rows.add(frame.event, frame.late === true)) count(statusOf(frame.event) === 'failed')
      }
    } catch (error) {
      if (abort.aborted) return
      const wasOpen = state.value.kind === 'live'
      state.value = { kind: 'over', detail: error instanceof Error ? error.message : String(error) }
      if (isUnauthorized(error)) options.onUnauthorized(wasOpen)
    }
  }

  function count (isFailed: boolean): void {
    rate.count(Date.now())
    arrived = { events: arrived.events + 1, failed: arrived.failed + (isFailed ? 1 : 0) }
  }

  /** Behind a lost connection the reader learns that it was lost, and where. */
  function connected (): void {
    if (wasConnected && state.value.kind === 'reconnecting') rows.addReconnect(Date.now())
    wasConnected = true
    state.value = { kind: 'live' }
  }

  function reportUpstream (frame: StatusFrame | HeartbeatFrame): void {
    const since = frame.type === 'status' ? frame.since : undefined
    options.onUpstream({ state: frame.upstream, lagMs: frame.lag_ms, atMs: Date.now(), since })
  }

  function reportLoss ({ reason, waitMs }: Reconnection): void {
    state.value = { kind: 'reconnecting', reason, untilMs: Date.now() + waitMs }
  }
}

/** Whether a stream ended because the service refuses the credential. */
export function isUnauthorized (error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'unauthorized'
}
