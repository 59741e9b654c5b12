import type { Instant } from '../../audit/instant.ts'
import type { AuditSource, Failure } from '../../audit/source.ts'
import type { Instruments } from '../../instruments.ts'
import type { Span, Tracer } from '../../tracer.ts'
import { createPollLoop, type Pause, type PollLoopOptions } from './poll-loop.ts'
import { nextPollDelayMs, type PollIntervalOptions } from './poll-interval.ts'
import { createUpstreamClock, type UpstreamClockOptions } from './upstream-clock.ts'
import { createUpstreamHealth, type Health } from './upstream-health.ts'
import { createUpstreamReader, type UpstreamReaderOptions } from './upstream-reader.ts'

export interface PollerOptions
  extends
  Pick<UpstreamClockOptions, 'mostSkewMs' | 'onSkew'>,
  Pick<UpstreamReaderOptions, 'clock' | 'openBookmark' | 'pageSize' | 'publish' | 'scanLimit' | 'source'>,
  Pick<PollLoopOptions, 'patienceMs'>,
  PollIntervalOptions {
  /** Whether this replica polls. */
  readonly isLeader: () => boolean
  /** Live subscribers: their number sets the pace. */
  readonly subscriberCount: () => number
  /** `waitMs`: how long the poller waits for its budget. `scarcity`: how little is left, from 0 (plenty) to 1. */
  readonly budget: () => { readonly waitMs: number, readonly scarcity: number }
  /** Called after every poll, once its events are published. */
  readonly onPoll: (health: Health, changed: boolean) => void
  readonly instruments: Pick<Instruments, 'pollCompleted' | 'duplicatesDropped'>
  readonly tracer: Tracer
  /** Called for an unexpected error. The poll counts as failed; the poller goes on. */
  readonly onError: (error: unknown) => void
}

/** The one poller of a tenant. */
export interface Poller {
  start (): void
  /** Polls soon, if it only pauses because the log is quiet. */
  wake (): void
  /** Begins no further poll. Resolves when the poll under way has ended. */
  stop (): Promise<void>
  health (): Health
  /** Our clock, corrected by the upstream's `Date`: milliseconds since 1970. */
  upstreamClock (): number
  /** The earlier of both clocks: milliseconds since 1970. */
  earliestClock (): number
  /** No event from before this instant will be published any more. */
  lowWatermark (): Instant | undefined
}

/**
 * Follows the upstream log: one poll in flight, oldest events first; each poll reads on until it has caught up. An
 * answer is published whole before the next request, and a failure moves nothing. Polls read the whole lateness window
 * while one answer holds it. Otherwise they read the last seconds, and the whole window every 30 s, or less often when
 * the request budget is short.
 */
export function createPoller (options: PollerOptions): Poller {
  const { budget, clock: { monotonicMs, now }, instruments, intervalMs } = options
  const loop = createPollLoop({ ...options, poll })
  const upstreamClock = createUpstreamClock({ ...options, clock: now })
  const health = createUpstreamHealth(now, loop.isAlive)
  const reader = createUpstreamReader({
    ...options,
    source: counted(options.source),
    upstreamClock,
    scarcity: () => budget().scarcity,
    onFullRead: health.fullReadEnded
  })
  let polledMs = -Infinity
  let requests = 0 // Of this poll.
  let failures = 0 // In a row, without a good answer in between.

  return {
    start: loop.start,
    wake: () => loop.wake(Math.max(0, polledMs + intervalMs - monotonicMs(), budget().waitMs)),
    stop: loop.stop,
    health: health.now,
    upstreamClock: upstreamClock.now,
    earliestClock: upstreamClock.earliest,
    lowWatermark: () => reader.bookmark()?.lookbackStart()
  }

  function counted (source: AuditSource): AuditSource {
    const noteRequest = () => {
      requests++
      loop.noteProgress()
    }
    return { ...source, read: (query, purpose) => source.read(query, purpose).finally(noteRequest) }
  }

  async function poll (signal: AbortSignal): Promise<Pause> {
    if (!options.isLeader()) return { waitMs: intervalMs, isBackOff: false }
    polledMs = monotonicMs()
    requests = 0
    const failure = await read(signal)
    instruments.pollCompleted(failure?.kind ?? 'ok', monotonicMs() - polledMs)
    failures = failure === undefined ? 0 : reader.progress().answers > 0 ? 1 : failures + 1
    const wishMs = wishedPauseMs(failure)
    const waitMs = Math.max(wishMs, budget().waitMs)
    if (!signal.aborted) report(failure, waitMs > wishMs)
    return { waitMs, isBackOff: failures > 0 }
  }

  function read (signal: AbortSignal): Promise<Failure | undefined> {
    const traced = async (span: Span) => {
      const failure = await reader.read(signal)
      if (failure !== undefined) span.fail(failure.kind)
      return failure
    }
    return options.tracer.span({ name: 'poll', kind: 'internal', isRoot: true }, traced).catch(
      (error: unknown): Failure => {
        options.onError(error)
        return { ok: false, kind: 'invalid' }
      }
    )
  }

  function wishedPauseMs (failure: Failure | undefined): number {
    const skippedRanges = reader.bookmark()?.skippedRanges() ?? []
    const report = {
      failure,
      failures,
      extraRequests: reader.progress().entries === 0 && skippedRanges.length > 0 ? requests : 0,
      quietMs: reader.quietMs(),
      subscribers: options.subscriberCount(),
      scarcity: budget().scarcity
    }
    return nextPollDelayMs(report, options, Math.random)
  }

  function report (failure: Failure | undefined, isHeldBack: boolean): void {
    const changed = health.report({
      failure,
      isHeldBack,
      latenessMs: reader.bookmark()?.reducedLatenessMs(),
      isSkewed: upstreamClock.isSkewed()
    })
    options.onPoll(health.now(), changed)
  }
}
