import type { Instant } from '../../audit/instant.ts'
import type { AuditSource, Failure } from '../../audit/source.ts'
import type { Instruments } from '../../instruments.ts'
import type { Span, Tracer } from '../../tracer.ts'
import { createPollLoop, type Pause, type PollLoopOptions } from './poll-loop.ts'
import { createPollsOnDemand, type PollsOnDemand } from './poll-on-demand.ts'
import { demandedPollPauseMs, nextPollDelayMs, type PollIntervalOptions } from './poll-interval.ts'
import { createUpstreamClock, type UpstreamClockOptions } from './upstream-clock.ts'
import { createUpstreamHealth, type Health } from './upstream-health.ts'
import { createUpstreamReader, type UpstreamReader, type UpstreamReaderOptions } from './upstream-reader.ts'

export interface PollerOptions
  extends
  Pick<UpstreamClockOptions, 'mostSkewMs' | 'onSkew'>,
  Pick<UpstreamReaderOptions, 'clock' | 'openBookmark' | 'pageSize' | 'publish' | 'scanLimit' | 'source'>,
  Pick<PollLoopOptions, 'patienceMs'>,
  PollIntervalOptions {
  /** Whether this replica polls. */
  readonly isLeader: () => boolean
  /** Deadline of one request to the upstream. A query waits as long for a poll on demand. Milliseconds. */
  readonly upstreamTimeoutMs: number
  /** The number of live subscribers. Without any, polls are rare. */
  readonly subscriberCount: () => number
  /** `waitMs`: the poller's wait for its budget. `scarcity`: how much is spent, from 0 (nothing) to 1 (everything). */
  readonly budget: () => { readonly waitMs: number, readonly scarcity: number }
  /** Called after every poll, when its events are published. */
  readonly onPoll: (health: Health, changed: boolean) => void
  readonly instruments: Pick<Instruments, 'pollCompleted' | 'duplicatesDropped'>
  readonly tracer: Tracer
  /** Called for an unexpected error. The poll counts as failed; the poller continues. */
  readonly onError: (error: unknown) => void
}

/** The one poller of a tenant. */
export interface Poller {
  start (): void
  /** Polls soon, unless the poller backs off after a failure. */
  wake (): void
  /** Requires a poll for a query. It counts as the poller's own, and as no audience. */
  demand: PollsOnDemand['request']
  completedReads: UpstreamReader['completed']
  /** Begins no further poll. Resolves when the current poll has ended. */
  stop (): Promise<void>
  health (): Health
  /** Our clock, corrected by the upstream's `Date`: milliseconds since 1970. */
  upstreamClock (): number
  /** The earlier of both clocks: milliseconds since 1970. */
  earliestClock (): number
  /** No event before this instant will be published any more. */
  lowWatermark (): Instant | undefined
}

/**
 * Follows the upstream log: one poll at a time, oldest events first. Each poll reads until it has caught up. All events
 * of an answer are published before the next request, and a failure does not move the bookmark.
 *
 * If the lateness window fits into one answer, every poll reads the whole window. Otherwise polls read the last
 * seconds, and the whole window every 30 s, or less often when the request budget is short.
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
  const demands = createPollsOnDemand({
    loop,
    completed: reader.completed,
    heldBackMs,
    timeoutMs: options.upstreamTimeoutMs,
    clock: options.clock
  })
  let polledMs = -Infinity
  let requests = 0 // Of this poll.
  let failures = 0 // Consecutive, without a good answer in between.

  return {
    start: loop.start,
    wake: () => loop.wake(Math.max(0, polledMs + intervalMs - monotonicMs(), budget().waitMs)),
    demand: demands.request,
    completedReads: reader.completed,
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
    const desiredMs = desiredPauseMs(failure)
    const waitMs = Math.max(desiredMs, budget().waitMs)
    if (!signal.aborted) report(failure, waitMs > desiredMs)
    const isDemanded = demands.pollEnded(failure)
    return isDemanded ? { waitMs: 0, isBackOff: false } : { waitMs, isBackOff: failures > 0 }
  }

  function heldBackMs (): number {
    const { scarcity, waitMs } = budget()
    return Math.max(waitMs, polledMs + demandedPollPauseMs(reader.quietMs(), scarcity, options) - monotonicMs())
  }

  function read (signal: AbortSignal): Promise<Failure | undefined> {
    const traced = async (span: Span) => {
      const failure = await reader.read(signal, demands.isFullRequired())
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

  function desiredPauseMs (failure: Failure | undefined): number {
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
