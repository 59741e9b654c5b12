import type { Announcement } from '../audit/batch.ts'
import { NANOS_PER_MS, instantFromMs, type Instant } from '../audit/instant.ts'
import type { AuditSource, Failure } from '../audit/source.ts'
import { walk } from '../audit/walk.ts'
import type { Bookmark } from './bookmark.ts'
import { nextWaitMs } from './cadence.ts'
import { createHealth, type Health } from './health.ts'

export interface TailOptions {
  readonly source: AuditSource
  readonly bookmark: Bookmark
  readonly announce: (announcement: Announcement) => Promise<void>
  /** Whether this replica is the one to poll. */
  readonly leads: () => boolean
  /** Live subscribers, whose number sets the pace. */
  readonly audience: () => number
  /** Told after every poll, once its events have been announced. */
  readonly onPoll: (health: Health, changed: boolean) => void
  readonly pageSize: number
  readonly intervalMs: number
  readonly maxIntervalMs: number
  /** Wall clock, milliseconds since 1970. */
  readonly clock: () => number
}

/** The one poller of a scope. */
export interface Tail {
  start (): void
  /** Polls soon, if it is only waiting because it was quiet. */
  wake (): void
  /** Ends polling; resolves when the poll under way has ended. */
  stop (): Promise<void>
  health (): Health
}

/** A walk from a start to the newest event; it may take several polls where some of them fail. */
interface Reading {
  readonly steps: ReturnType<typeof walk>
  readonly isWhole: boolean
  readonly startedAt: Instant
  /** Those that held anything new to this walk. */
  answers: number
}

const SWEEP_EVERY_MS = 30_000
const MOST_SKEW_MS = 2000 // `Date` has whole seconds; less than this is no skew.

/**
 * Follows the upstream log: one poll in flight, ever; oldest first; each poll walks on until it has caught up. An answer
 * is announced whole before the bookmark moves past it, and a failure moves nothing. Polls read the whole lateness window
 * while that takes one answer; beyond that the last seconds, and the whole window every 30 s.
 */
export function createTail (options: TailOptions): Tail {
  const { announce, bookmark, clock, source } = options
  const health = createHealth(clock)
  let pageSize = options.pageSize
  let skewMs = 0
  let failures = 0
  let newestMs = clock()
  let sweptMs = -Infinity
  let windowIsLong = false
  let polledMs = -Infinity
  let reading: Reading | undefined
  let hasLearned = false
  let running: Promise<void> | undefined
  const stopping = new AbortController()
  let endPause = () => {}

  return { start, wake, stop, health: health.now }

  function start (): void {
    running ??= run()
  }

  async function stop (): Promise<void> {
    stopping.abort()
    endPause()
    await running
  }

  function wake (): void {
    if (failures === 0) setTimeout(() => endPause(), Math.max(0, polledMs + options.intervalMs - clock())).unref()
  }

  async function run (): Promise<void> {
    while (!stopping.signal.aborted) {
      if (options.leads()) await cycle()
      const quietMs = clock() - newestMs
      await pause(nextWaitMs({ failure: health.failure(), failures, quietMs, audience: options.audience() }, options, Math.random))
    }
  }

  async function cycle (): Promise<void> {
    polledMs = clock()
    const failure = (hasLearned ? undefined : await learnPageSize()) ?? await poll()
    if (stopping.signal.aborted) return
    failures = failure === undefined ? 0 : failures + 1
    const changed = health.report(failure)
    options.onPoll(health.now(), changed)
  }

  /**
   * Asks for the newest page once, whatever its age, to learn how long an answer can be: only then is a short one known
   * to be the end of the log (facts 6.6: a silent cap is possible), and a quiet poll costs one request.
   */
  async function learnPageSize (): Promise<Failure | undefined> {
    const answer = await source.read({ filter: {}, window: {}, direction: 'desc', page: 1, pageSize }, 'poller')
    hasLearned = answer.ok || answer.kind === 'too-large' // Of pages too large to read, none is known to be short.
    return hasLearned || answer.ok ? undefined : answer
  }

  /** Goes on with the read that a failure interrupted, or begins one, until it has caught up or fails. */
  async function poll (): Promise<Failure | undefined> {
    const current = reading ??= beginReading()
    for (let next = await current.steps.next(); next.done !== true && !stopping.signal.aborted; next = await current.steps.next()) {
      const step = next.value
      if (!step.ok) return step
      if (step.scanned > 0) current.answers++
      pageSize = Math.min(options.pageSize, 2 * step.largest) // Asks for more again once answers are smaller.
      noteUpstreamClock(step.upstreamMs)
      const announcement = bookmark.absorb(step.rows, now())
      if (announcement.events.length === 0) continue
      newestMs = clock()
      await announce(announcement)
    }
    reading = undefined
    if (current.isWhole) {
      bookmark.completed(current.startedAt)
      health.swept()
      sweptMs = polledMs
      windowIsLong = current.answers > 1
    }
    return undefined
  }

  function beginReading (): Reading {
    const isWhole = !windowIsLong || clock() - sweptMs >= SWEEP_EVERY_MS
    const start = isWhole ? bookmark.wholeStart() : bookmark.recentStart()
    const steps = walk(source, { filter: {}, window: { start }, direction: 'asc', pageSize, purpose: 'poller' })
    return { steps, isWhole, startedAt: instantFromMs(clock() + skewMs), answers: 0 }
  }

  function noteUpstreamClock (upstreamMs: number | undefined): void {
    if (upstreamMs === undefined) return
    const differenceMs = upstreamMs - clock()
    skewMs = Math.abs(differenceMs) > MOST_SKEW_MS ? differenceMs : 0
  }

  function now (): Instant {
    return instantFromMs(clock() + skewMs) + NANOS_PER_MS
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
