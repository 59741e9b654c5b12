import type { Announcement } from '../../audit/log-batch.ts'
import type { KeyedEvent } from '../../audit/sort-key.ts'
import {
  EARLIEST,
  NANOS_PER_MS,
  NANOS_PER_SECOND,
  instantFromMs,
  maxInstant,
  type Instant
} from '../../audit/instant.ts'
import { POLLER, type AuditSource, type Failure } from '../../audit/source.ts'
import { bisecting } from '../../scan/bisection.ts'
import { scan } from '../../scan/scanner.ts'
import type { Instruments } from '../../instruments.ts'
import type { Clock } from '../../clock.ts'
import type { Span, Tracer } from '../../tracer.ts'
import type { Bookmark } from './bookmark.ts'
import { nextPollDelayMs, fullReadEveryMs } from './poll-interval.ts'
import { createUpstreamHealth, type Health } from './upstream-health.ts'
import { createCatchUp, type CatchUp } from './catch-up.ts'
import { createUpstreamClock, type UpstreamClockOptions } from './upstream-clock.ts'

export interface PollerOptions extends Pick<UpstreamClockOptions, 'mostSkewMs' | 'onSkew'> {
  readonly source: AuditSource
  /**
   * Makes the bookmark once the first answer has come. `now` is the earlier of both clocks; `oldest` the oldest row of
   * that answer.
   */
  readonly openBookmark: (now: Instant, oldest: Instant | undefined) => Bookmark
  readonly publish: (announcement: Announcement) => Promise<void>
  /** Whether this replica is the one to poll. */
  readonly isLeader: () => boolean
  /** Live subscribers, whose number sets the pace. */
  readonly subscriberCount: () => number
  /**
   * How the request budget stands: how long the poller has to wait for it, and how little there is left (0: plenty, 1:
   * nothing).
   */
  readonly budget: () => { readonly waitMs: number, readonly scarcity: number }
  /** Told after every poll, once its events have been announced. */
  readonly onPoll: (health: Health, changed: boolean) => void
  readonly instruments: Pick<Instruments, 'pollCompleted' | 'duplicatesDropped'>
  readonly tracer: Tracer
  /** Told of what should not happen; the poll counts as failed and the poller goes on. */
  readonly onError: (error: unknown) => void
  readonly pageSize: number
  /** Most rows that are read of an upstream that does not sort. */
  readonly scanLimit: number
  readonly intervalMs: number
  readonly maxIntervalMs: number
  /** How long one request of a poll may take at most, and what is done with its answer. */
  readonly patienceMs: number
  readonly clock: Clock
}

/** The one poller of a tenant. */
export interface Poller {
  start (): void
  /** Polls soon, if it is only waiting because it was quiet. */
  wake (): void
  /** Begins no further poll; resolves when the one under way has ended. */
  stop (): Promise<void>
  health (): Health
  /** Our clock as the upstream's `Date` corrects it, milliseconds since 1970. */
  upstreamClock (): number
  /** The earlier of both clocks, milliseconds since 1970. */
  earliestClock (): number
  /** Nothing from before this instant will be announced any more. */
  lowWatermark (): Instant | undefined
}

const LONG_BEFORE = 86_400n * NANOS_PER_SECOND

/** A reading, and what is to be known of it once it has caught up. */
interface Current {
  readonly catchUp: CatchUp
  readonly isWhole: boolean
  readonly startedAt: Instant
  readonly startedMs: number
  readonly frontier: Instant
}

/**
 * Follows the upstream log: one poll in flight, ever; oldest first; each poll scans on until it has caught up. An
 * answer is announced whole before the next one is asked for, and a failure moves nothing. Polls read the whole
 * lateness window while that takes one answer; beyond that the last seconds, and the whole window every 30 s, or less
 * often when the request budget is short.
 */
export function createPoller (options: PollerOptions): Poller {
  const { publish, pageSize, scanLimit } = options
  const { monotonicMs: nowMs, now, setTimer } = options.clock
  const source: AuditSource = {
    ...options.source,
    read: (query, purpose) => options.source.read(query, purpose).finally(noteRequest)
  }
  const pages = bisecting(source, { skipsRows: true, known: () => bookmark?.skippedRanges() ?? [] })
  const health = createUpstreamHealth(now, isTrying)
  const stopping = new AbortController()
  const upstream = createUpstreamClock({ ...options, clock: now })
  let bookmark: Bookmark | undefined
  let newest: ReturnType<typeof scan> | undefined
  let current: Current | undefined
  let running: Promise<void> | undefined
  let cancelWake = () => {}
  let endPause = () => {}
  let failures = 0 // In a row, without a good answer in between.
  let answered = false
  let requests = 0
  let waitMs = options.intervalMs
  let newestMs = nowMs()
  let polledMs = -Infinity
  let aliveMs = nowMs() // When something last went on.
  let sweptMs = -Infinity
  let windowIsLong = false
  let isRepeated = false
  let readTo = EARLIEST // The frontier at which the last read began.
  let marked = EARLIEST

  return {
    start,
    wake,
    stop,
    health: health.now,
    upstreamClock: upstream.now,
    earliestClock: upstream.earliest,
    lowWatermark: () => bookmark?.lookbackStart()
  }

  function start (): void {
    running ??= run()
  }

  async function stop (): Promise<void> {
    stopping.abort()
    cancelWake()
    endPause()
    await running
  }

  function wake (): void {
    const soonMs = Math.max(0, polledMs + options.intervalMs - nowMs(), options.budget().waitMs)
    cancelWake()
    cancelWake = setTimer(() => { if (failures === 0) endPause() }, soonMs)
  }

  /** A poll that hangs, which nothing should be able to make it do, is told from one that waits. */
  function isTrying (): boolean {
    return running === undefined || nowMs() - aliveMs < waitMs + options.patienceMs
  }

  function noteRequest (): void {
    requests++
    aliveMs = nowMs()
  }

  async function run (): Promise<void> {
    while (!stopping.signal.aborted) {
      if (options.isLeader()) await cycle()
      await pause()
    }
  }

  async function cycle (): Promise<void> {
    polledMs = nowMs()
    aliveMs = polledMs
    answered = false
    requests = 0
    const failure = await options.tracer.span({ name: 'poll', kind: 'internal', isRoot: true }, traced).catch(
      (error: unknown): Failure => {
        options.onError(error)
        current = undefined
        newest = undefined
        return { ok: false, kind: 'invalid' }
      }
    )
    options.instruments.pollCompleted(failure?.kind ?? 'ok', nowMs() - polledMs)
    if (stopping.signal.aborted) return
    failures = failure === undefined ? 0 : answered ? 1 : failures + 1
    const extraRequests = newestMs < polledMs && bookmark !== undefined && bookmark.skippedRanges().length > 0
      ? requests
      : 0
    const { scarcity, waitMs: budgetMs } = options.budget()
    const wishMs = nextPollDelayMs(
      {
        failure,
        failures,
        extraRequests,
        quietMs: nowMs() - newestMs,
        subscribers: options.subscriberCount(),
        scarcity
      },
      options,
      Math.random
    )
    waitMs = Math.max(wishMs, budgetMs)
    aliveMs = nowMs()
    const changed = health.report({
      failure,
      isHeldBack: waitMs > wishMs,
      latenessMs: bookmark?.reducedLatenessMs(),
      isSkewed: upstream.isSkewed()
    })
    options.onPoll(health.now(), changed)
  }

  async function traced (span: Span): Promise<Failure | undefined> {
    const failure = await poll()
    if (failure !== undefined) span.fail(failure.kind)
    return failure
  }

  async function poll (): Promise<Failure | undefined> {
    const opened = bookmark ?? await open()
    return 'ok' in opened ? opened : catchUp(opened)
  }

  /**
   * Asks for the newest page once, whatever its age. It tells the upstream's clock, whether it sorts, and how long an
   * answer can be: only then is a short one known to be the end of the log (docs/kubiya-api.md §4: a silent cap is
   * possible), and a quiet poll costs one request.
   */
  async function open (): Promise<Bookmark | Failure> {
    newest ??= scan(bisecting(source, { skipsRows: true }), {
      filter: {},
      window: {},
      direction: 'desc',
      pageSize,
      scanLimit,
      purpose: POLLER
    })
    const { value: step } = await newest.next()
    if (step !== undefined && !step.ok) return step
    newest = undefined
    noteAnswer(step?.rows ?? [], step?.upstreamMs)
    const oldest = step?.rows.findLast(({ event }) => event.instant !== undefined)?.event.instant
    const told = instantFromMs(upstream.earliestTold())
    // A `Date` of years ago must not have the whole log read.
    bookmark = options.openBookmark(oldest === undefined ? told : maxInstant(told, oldest - LONG_BEFORE), oldest)
    return bookmark
  }

  /** Goes on with the read that a failure interrupted, or begins one, until it has caught up or fails. */
  async function catchUp (mark: Bookmark): Promise<Failure | undefined> {
    const { frontier, isWhole, catchUp, startedAt, startedMs } = current ??= begin(mark)
    for (
      let portion = await catchUp.next();
      portion !== undefined && !stopping.signal.aborted;
      portion = await catchUp.next()
    ) {
      if (!portion.ok) return portion
      answered = true
      noteAnswer(portion.rows, portion.upstreamMs)
      const { announcement, commit } = mark.diff(
        portion.rows,
        portion.skipped,
        instantFromMs(upstream.now()) + NANOS_PER_MS
      )
      if (announcement.entries.length > 0) {
        newestMs = nowMs()
        await publish(announcement)
      }
      options.instruments.duplicatesDropped(
        portion.rows.length - announcement.entries.filter((entry) => 'event' in entry).length
      )
      commit()
    }
    current = undefined
    if (stopping.signal.aborted) return undefined
    readTo = frontier
    if (!isWhole) return undefined
    windowIsLong = catchUp.isLong() || mark.skippedRanges().length > 0 // To pass something by costs requests each time.
    // Exact duplicates that were met in small pages may never have stood in one answer: once more, in whole ones.
    if (catchUp.isReduced() && !isRepeated) isRepeated = true
    else {
      isRepeated = false
      mark.advance(startedAt, windowIsLong ? frontier : undefined)
      const { announcement } = mark.diff([], undefined, startedAt)
      // Nothing new, but less in doubt: cursors go on from later.
      if (announcement.highWater > marked) await publish(announcement)
      marked = maxInstant(marked, announcement.highWater)
    }
    health.swept()
    sweptMs = startedMs
    return undefined
  }

  function begin (mark: Bookmark): Current {
    const isWhole = !windowIsLong || nowMs() - sweptMs >= fullReadEveryMs(options.budget().scarcity)
    const start = isWhole ? mark.lookbackStart() : mark.recentStart(readTo)
    const catchUp = createCatchUp({ source: pages, start, pageSize, scanLimit })
    return {
      catchUp,
      isWhole,
      frontier: mark.frontier(nowMs() - newestMs),
      startedAt: instantFromMs(upstream.now()),
      startedMs: nowMs()
    }
  }

  function noteAnswer (rows: readonly KeyedEvent[], upstreamMs: number | undefined): void {
    for (const { event } of rows) if (event.instant !== undefined) upstream.see(event.instant)
    if (upstream.note(upstreamMs)) sweptMs = -Infinity // After a leap the whole window is read again.
  }

  async function pause (): Promise<void> {
    if (stopping.signal.aborted) return
    await new Promise<void>((resolve) => {
      const cancel = setTimer(resolve, waitMs)
      endPause = () => {
        cancel()
        resolve()
      }
    })
  }
}
