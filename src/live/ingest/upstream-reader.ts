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
import type { Bookmark } from './bookmark.ts'
import { fullReadEveryMs } from './poll-interval.ts'
import { createCatchUp, type CatchUp, type CatchUpStep } from './catch-up.ts'
import type { UpstreamClock } from './upstream-clock.ts'

export interface UpstreamReaderOptions {
  readonly source: AuditSource
  /**
   * Creates the bookmark after the first answer. `now` is the earlier of both clocks. `oldest` is the instant of the
   * oldest row in that answer.
   */
  readonly openBookmark: (now: Instant, oldest: Instant | undefined) => Bookmark
  readonly publish: (announcement: Announcement) => Promise<void>
  readonly upstreamClock: UpstreamClock
  readonly clock: Clock
  readonly pageSize: number
  /** The most rows that are read from an upstream that does not sort. */
  readonly scanLimit: number
  /** How much of the request budget is spent, from 0 (nothing) to 1 (everything). */
  readonly scarcity: () => number
  /** Called when a read of the whole lateness window has ended. */
  readonly onFullRead: () => void
  readonly instruments: Pick<Instruments, 'duplicatesDropped'>
}

/** The progress of the current read, or of the last one. */
export interface ReadProgress {
  /** Answers that were published. */
  readonly answers: number
  /** New events and gaps in them. */
  readonly entries: number
}

/** A read that ended well: the log holds what was visible from `start` on when it began. */
export interface CompletedRead {
  /** Monotonic time, milliseconds. */
  readonly startedMs: number
  readonly start: Instant
}

export interface CompletedReads {
  readonly last: CompletedRead | undefined
  /** The last read of the whole lateness window. */
  readonly lastFull: CompletedRead | undefined
}

/** Reads the upstream log incrementally: each read goes from the bookmark to the newest event. */
export interface UpstreamReader {
  /**
   * Reads until it has caught up, or returns the failure that interrupted it. The next read then continues. Rejects if
   * `publish` rejects. An aborted read ends after the current answer and publishes none of it. `isFull` requires a read
   * of the whole lateness window; a read that continues keeps its own extent.
   */
  read (signal: AbortSignal, isFull?: boolean): Promise<Failure | undefined>
  progress (): ReadProgress
  completed (): CompletedReads
  /** Time without a new event, milliseconds. */
  quietMs (): number
  /** `undefined` before the first answer. */
  bookmark (): Bookmark | undefined
}

/** The range of one read. */
interface ReadPlan {
  /** Whether it covers the whole lateness window. */
  readonly isFull: boolean
  readonly start: Instant
  /** A lower bound on the upstream's clock at the start. */
  readonly frontier: Instant
  /** When the read began, by the upstream's clock and by ours. */
  readonly startedAt: Instant
  readonly startedMs: number
}

type Opening = { readonly kind: 'opening', readonly newestPage: ReturnType<typeof scan> }
type Idle = { readonly kind: 'idle', readonly bookmark: Bookmark }
type Reading = {
  readonly kind: 'reading'
  readonly bookmark: Bookmark
  readonly plan: ReadPlan
  readonly catchUp: CatchUp
}

/** What the plan of the next read depends on. */
interface ReadHistory {
  /** When the last full read began, by our clock. */
  readonly fullReadMs: number
  /** Whether the lateness window takes more than one answer, or has rows that cannot be read. */
  readonly isWindowLong: boolean
  /** Whether the next full read repeats the last one. */
  readonly isRepeat: boolean
  /** The frontier of the last read. */
  readonly readTo: Instant
}

const LONG_BEFORE = 86_400n * NANOS_PER_SECOND
const NO_PROGRESS: ReadProgress = { answers: 0, entries: 0 }

export function createUpstreamReader (options: UpstreamReaderOptions): UpstreamReader {
  const { pageSize, publish, scanLimit, source, upstreamClock } = options
  const { monotonicMs } = options.clock
  const pages = bisecting(source, { skipsRows: true, known: () => bookmark()?.skippedRanges() ?? [] })
  let state: Opening | Idle | Reading = opening()
  let history: ReadHistory = { fullReadMs: -Infinity, isWindowLong: false, isRepeat: false, readTo: EARLIEST }
  let progress = NO_PROGRESS
  let newestMs = monotonicMs()
  let completed: CompletedReads = { last: undefined, lastFull: undefined }
  let settled = EARLIEST // The high-water mark of the last full read.

  return {
    read,
    progress: () => progress,
    completed: () => completed,
    quietMs: () => monotonicMs() - newestMs,
    bookmark
  }

  function bookmark (): Bookmark | undefined {
    return state.kind === 'opening' ? undefined : state.bookmark
  }

  async function read (signal: AbortSignal, isFull = false): Promise<Failure | undefined> {
    progress = NO_PROGRESS
    try {
      const opened = state.kind === 'opening' ? await open(state) : state
      if ('ok' in opened) return opened
      return await catchUp(opened.kind === 'reading' ? opened : begin(opened, isFull), signal)
    } catch (error) {
      state = state.kind === 'opening' ? opening() : { kind: 'idle', bookmark: state.bookmark }
      throw error
    }
  }

  function opening (): Opening {
    return {
      kind: 'opening',
      newestPage: scan(bisecting(source, { skipsRows: true }), {
        filter: {},
        window: {},
        direction: 'desc',
        pageSize,
        scanLimit,
        purpose: POLLER
      })
    }
  }

  /**
   * Reads the newest page once, whatever its age. It shows the upstream's clock, whether the upstream sorts, and how
   * long an answer can be. After that a shorter answer proves the end of the log (docs/kubiya-api.md §4: a silent cap
   * is possible), and a quiet poll costs one request.
   */
  async function open ({ newestPage }: Opening): Promise<Idle | Failure> {
    const { value: step } = await newestPage.next()
    if (step !== undefined && !step.ok) return step
    noteAnswer(step?.rows ?? [], step?.upstreamMs)
    const oldest = step?.rows.findLast(({ event }) => event.instant !== undefined)?.event.instant
    const now = instantFromMs(upstreamClock.earliestTold())
    // A `Date` of years ago must not make the poller read the whole log.
    const from = oldest === undefined ? now : maxInstant(now, oldest - LONG_BEFORE)
    const idle: Idle = { kind: 'idle', bookmark: options.openBookmark(from, oldest) }
    state = idle
    return idle
  }

  function begin ({ bookmark }: Idle, isFullRequired: boolean): Reading {
    const nowMs = monotonicMs()
    const isFull = isFullRequired || !history.isWindowLong ||
      nowMs - history.fullReadMs >= fullReadEveryMs(options.scarcity())
    const plan: ReadPlan = {
      isFull,
      start: isFull ? bookmark.lookbackStart() : bookmark.recentStart(history.readTo),
      frontier: bookmark.frontier(nowMs - newestMs),
      startedAt: instantFromMs(upstreamClock.now()),
      startedMs: nowMs
    }
    const catchUp = createCatchUp({ source: pages, start: plan.start, pageSize, scanLimit })
    return { kind: 'reading', bookmark, plan, catchUp }
  }

  async function catchUp (reading: Reading, signal: AbortSignal): Promise<Failure | undefined> {
    const { bookmark, catchUp } = reading
    state = reading
    for (let step = await catchUp.next(); step !== undefined && !signal.aborted; step = await catchUp.next()) {
      if (!step.ok) return step
      await apply(step, bookmark)
    }
    state = { kind: 'idle', bookmark }
    if (!signal.aborted) await finish(reading)
    return undefined
  }

  /** Publishes the new entries of one answer. */
  async function apply ({ rows, skipped, upstreamMs }: CatchUpStep, bookmark: Bookmark): Promise<void> {
    progress = { ...progress, answers: progress.answers + 1 }
    noteAnswer(rows, upstreamMs)
    const { announcement, commit } = bookmark.diff(rows, skipped, instantFromMs(upstreamClock.now()) + NANOS_PER_MS)
    const { entries } = announcement
    if (entries.length > 0) {
      newestMs = monotonicMs()
      progress = { ...progress, entries: progress.entries + entries.length }
      await publish(announcement)
    }
    options.instruments.duplicatesDropped(rows.length - entries.filter((entry) => 'event' in entry).length)
    commit()
  }

  /** Moves the bookmark after a full read. */
  async function finish ({ bookmark, catchUp, plan }: Reading): Promise<void> {
    history = { ...history, readTo: plan.frontier }
    if (!plan.isFull) {
      completed = { ...completed, last: plan }
      return
    }
    // Rows that cannot be read cost extra requests in each read.
    const isWindowLong = catchUp.isLong() || bookmark.skippedRanges().length > 0
    // Exact duplicates in small pages may never have been in one answer. One repeat reads them in full pages.
    const isRepeat = catchUp.isReduced() && !history.isRepeat
    if (!isRepeat) {
      await advance(bookmark, plan, isWindowLong)
      completed = { last: plan, lastFull: plan }
    }
    history = { ...history, isWindowLong, isRepeat, fullReadMs: plan.startedMs }
    options.onFullRead()
  }

  async function advance (bookmark: Bookmark, { frontier, startedAt }: ReadPlan, isWindowLong: boolean): Promise<void> {
    bookmark.advance(startedAt, isWindowLong ? frontier : undefined)
    const { announcement } = bookmark.diff([], undefined, startedAt)
    // No event is new, but less is in doubt: cursors may resume from a later instant.
    if (announcement.highWater > settled) await publish(announcement)
    settled = maxInstant(settled, announcement.highWater)
  }

  function noteAnswer (rows: readonly KeyedEvent[], upstreamMs: number | undefined): void {
    for (const { event } of rows) if (event.instant !== undefined) upstreamClock.see(event.instant)
    // After a jump of the upstream's clock, the next read is a full read.
    if (upstreamClock.note(upstreamMs)) history = { ...history, fullReadMs: -Infinity }
  }
}
