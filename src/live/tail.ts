import type { Announcement } from '../audit/batch.ts'
import { NANOS_PER_MS, instantFromMs, type Instant } from '../audit/instant.ts'
import type { AuditSource, Failure } from '../audit/source.ts'
import { walk } from '../audit/walk.ts'
import type { Bookmark } from './bookmark.ts'
import { nextWaitMs } from './cadence.ts'
import { createHealth, type Health } from './health.ts'

export interface TailOptions {
  readonly source: AuditSource
  /** Makes the bookmark once the upstream's clock is known. */
  readonly openBookmark: (now: Instant) => Bookmark
  readonly announce: (announcement: Announcement) => Promise<void>
  /** Whether this replica is the one to poll. */
  readonly leads: () => boolean
  /** Live subscribers, whose number sets the pace. */
  readonly audience: () => number
  /** Told after every poll, once its events have been announced. */
  readonly onPoll: (health: Health, changed: boolean) => void
  /** Told of what should not happen; the poll counts as failed and the tail goes on. */
  readonly onError: (error: unknown) => void
  readonly pageSize: number
  readonly intervalMs: number
  readonly maxIntervalMs: number
  /** Wall clock, milliseconds since 1970. */
  readonly clock: () => number
  /** Monotonic clock, milliseconds, for durations. */
  readonly nowMs: () => number
}

/** The one poller of a scope. */
export interface Tail {
  start (): void
  /** Polls soon, if it is only waiting because it was quiet. */
  wake (): void
  /** Begins no further poll; resolves when the one under way has ended. */
  stop (): Promise<void>
  health (): Health
  /** Our clock as the upstream's `Date` corrects it, milliseconds since 1970. */
  upstreamClock (): number
}

/** A walk from a start to the newest event; it may take several polls where some of them fail. */
interface Reading {
  readonly steps: ReturnType<typeof walk>
  readonly isWhole: boolean
  readonly startedAt: Instant
  readonly startedMs: number
  /** Those that held anything new to this walk. */
  answers: number
}

const SWEEP_EVERY_MS = 30_000
const LEAST_SKEW_MS = 2000 // `Date` has whole seconds; less than this is no skew.

/**
 * Follows the upstream log: one poll in flight, ever; oldest first; each poll walks on until it has caught up. An answer
 * is announced whole before the next one is asked for, and a failure moves nothing. Polls read the whole lateness window
 * while that takes one answer; beyond that the last seconds, and the whole window every 30 s.
 */
export function createTail (options: TailOptions): Tail {
  const { announce, clock, nowMs, source } = options
  const health = createHealth(clock)
  const stopping = new AbortController()
  let bookmark: Bookmark | undefined
  let reading: Reading | undefined
  let running: Promise<void> | undefined
  let endPause = () => {}
  let pageSize = options.pageSize
  let skewMs = 0
  let failures = 0
  let newestMs = nowMs()
  let polledMs = -Infinity
  let sweptMs = -Infinity
  let windowIsLong = false

  return { start, wake, stop, health: health.now, upstreamClock }

  function start (): void {
    running ??= run()
  }

  async function stop (): Promise<void> {
    stopping.abort()
    endPause()
    await running
  }

  function wake (): void {
    const waitMs = Math.max(0, polledMs + options.intervalMs - nowMs())
    setTimeout(() => { if (failures === 0) endPause() }, waitMs).unref()
  }

  async function run (): Promise<void> {
    while (!stopping.signal.aborted) {
      if (options.leads()) await cycle()
      const quietMs = nowMs() - newestMs
      await pause(nextWaitMs({ failure: health.failure(), failures, quietMs, audience: options.audience() }, options, Math.random))
    }
  }

  async function cycle (): Promise<void> {
    polledMs = nowMs()
    const failure = await poll().catch((error: unknown): Failure => {
      options.onError(error)
      reading = undefined
      return { ok: false, kind: 'invalid' }
    })
    if (stopping.signal.aborted) return
    failures = failure === undefined ? 0 : failures + 1
    const changed = health.report(failure)
    options.onPoll(health.now(), changed)
  }

  async function poll (): Promise<Failure | undefined> {
    const opened = bookmark ?? await open()
    return 'ok' in opened ? opened : catchUp(opened)
  }

  /**
   * Asks for the newest page once, whatever its age. It tells the upstream's clock, whether it sorts, and how long an
   * answer can be: only then is a short one known to be the end of the log (facts 6.6: a silent cap is possible), and a
   * quiet poll costs one request.
   */
  async function open (): Promise<Bookmark | Failure> {
    const newest = walk(source, { filter: {}, window: {}, direction: 'desc', pageSize, purpose: 'poller' })
    const { value: step } = await newest.next()
    if (step !== undefined && !step.ok) return step
    noteUpstreamClock(step?.upstreamMs)
    bookmark = options.openBookmark(instantFromMs(upstreamClock()))
    return bookmark
  }

  /** Goes on with the read that a failure interrupted, or begins one, until it has caught up or fails. */
  async function catchUp (mark: Bookmark): Promise<Failure | undefined> {
    const current = reading ??= beginReading(mark)
    for (let next = await current.steps.next(); next.done !== true && !stopping.signal.aborted; next = await current.steps.next()) {
      const step = next.value
      if (!step.ok) return step
      if (step.scanned > 0) current.answers++
      pageSize = Math.min(options.pageSize, 2 * step.largest) // Asks for more again once answers are smaller.
      noteUpstreamClock(step.upstreamMs)
      const announcement = mark.absorb(step.rows, instantFromMs(upstreamClock()) + NANOS_PER_MS)
      if (announcement.events.length === 0) continue
      newestMs = nowMs()
      await announce(announcement)
    }
    reading = undefined
    if (stopping.signal.aborted || !current.isWhole) return undefined
    mark.completed(current.startedAt)
    health.swept()
    sweptMs = current.startedMs
    windowIsLong = current.answers > 1
    return undefined
  }

  function beginReading (mark: Bookmark): Reading {
    const isWhole = !windowIsLong || nowMs() - sweptMs >= SWEEP_EVERY_MS
    const start = isWhole ? mark.wholeStart() : mark.recentStart()
    const steps = walk(source, { filter: {}, window: { start }, direction: 'asc', pageSize, purpose: 'poller' })
    return { steps, isWhole, startedAt: instantFromMs(upstreamClock()), startedMs: nowMs(), answers: 0 }
  }

  function noteUpstreamClock (upstreamMs: number | undefined): void {
    if (upstreamMs === undefined) return
    const differenceMs = upstreamMs - clock()
    skewMs = Math.abs(differenceMs) > LEAST_SKEW_MS ? differenceMs : 0
  }

  function upstreamClock (): number {
    return clock() + skewMs
  }

  async function pause (waitMs: number): Promise<void> {
    if (stopping.signal.aborted) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs)
      endPause = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
