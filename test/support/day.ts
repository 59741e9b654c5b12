import type { Announcement } from '../../src/audit/log-batch.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import {
  ceilToSecond,
  floorToSecond,
  instantFromMs,
  maxInstant,
  msFromInstant,
  type Instant
} from '../../src/audit/instant.ts'
import type { Answer, AuditSource, Failure, Quirk, Purpose, SourceQuery } from '../../src/audit/source.ts'
import { createRequestBudget, type BudgetLimits } from '../../src/kubiya/request-budget.ts'
import { createBookmark, type Bookmark } from '../../src/live/ingest/bookmark.ts'
import { createPoller } from '../../src/live/ingest/poller.ts'
import { silentInstruments } from '../../src/instruments.ts'
import { silentTracer } from '../../src/tracer.ts'
import { createChance } from '../oracle/chance.ts'
import { CALLER, POLLER } from './purposes.ts'

export const SECOND_MS = 1000
export const MINUTE_MS = 60 * SECOND_MS
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

const MIDNIGHT_MS = Date.UTC(2025, 5, 3)
export const LATENESS_MS = 120_000
const POLL_MS = 3000
const HISTORY = 300n * 1_000_000_000n
const MOST_KNOWN = 500_000
const ANSWER_MS = 200 // One request, there and back.
const VISIBLE_MS = 300 // What an event usually takes to become visible …
const LATE_SHARE = 0.02 // … but for these …
const LATE_MS = 60_000 // … which take up to this.
const EARLIER_EVENTS = 1200 // So that an answer shows how long it can be from the start on.
const EARLIER_MS = 2 * HOUR_MS

/** From a time of the day on, so many events a second. */
export type Phase = readonly [fromMs: number, perSecond: number]

export interface DayOptions {
  readonly phases: readonly Phase[]
  readonly pageCap: number
  readonly hours: number
  readonly limits: BudgetLimits
  readonly group: number
  /** When callers ask, milliseconds after midnight, in order. */
  readonly calls: readonly number[]
  readonly seed: number
}

/** A request that went out, or was refused by the budget. */
export interface Request {
  readonly atMs: number
  readonly purpose: Purpose['kind']
  /** 0: it went out; else how long the budget asked to wait. */
  readonly waitMs: number
}

/** What the log keeps: times after midnight, in order of instant. */
interface Happenings {
  readonly instants: Float64Array
  readonly visible: Float64Array
}

export type Day = Awaited<ReturnType<typeof liveThrough>>

/**
 * A day of the real poller, bookmark, cadence and budget, in virtual time, in front of a log whose events are laid out
 * beforehand.
 */
export async function liveThrough (options: DayOptions) {
  const time = createTime()
  const clock = () => MIDNIGHT_MS + Math.floor(time.nowMs())
  const endMs = options.hours * HOUR_MS
  const happenings = layOut(options.phases, endMs, seeded(options.seed))
  const budget = createRequestBudget({ ...options.limits, pollMs: POLL_MS })
  const requests: Request[] = []
  const times = new Float64Array(happenings.instants.length) // When each was announced.
  const counts = new Uint8Array(happenings.instants.length)
  const faults: string[] = []
  const states: Array<{ readonly atMs: number, readonly upstream: string }> = []
  let highWater = 0n
  let newest = 0n

  const upstream = createUpstream({
    ask,
    happenings,
    pageCap: options.pageCap,
    clock,
    wait: time.wait,
    reportQuirk: (quirk) => {
      faults.push(`taken for an upstream that ${quirk}`)
    }
  })
  const poller = createPoller({
    source: upstream,
    openBookmark,
    mostSkewMs: Infinity,
    onSkew: () => {},
    publish,
    isLeader: () => true,
    subscriberCount: () => options.group,
    budget: () => ({ waitMs: budget.waitMs(POLLER, clock()), scarcity: budget.scarcity(clock()) }),
    onPoll: (health, changed) => { if (changed) states.push({ atMs: time.nowMs(), upstream: health.upstream }) },
    onError: (error) => { faults.push(String(error)) },
    pageSize: 1000,
    scanLimit: 10_000,
    intervalMs: POLL_MS,
    maxIntervalMs: 30_000,
    patienceMs: 60_000,
    upstreamTimeoutMs: 10_000,
    instruments: silentInstruments,
    tracer: silentTracer,
    clock: { now: clock, monotonicMs: time.nowMs, setTimer: time.setTimer }
  })
  const calls = options.calls.values()
  callNext()
  poller.start()
  await time.pass(endMs)
  const stopped = poller.stop()
  await time.pass(ANSWER_MS)
  await stopped
  return outcome()

  function outcome () {
    return {
      requests,
      faults,
      states,
      endMs,
      events: happenings.instants.length,
      instantOf: (index: number) => happenings.instants[index] ?? NaN,
      visibleOf: (index: number) => happenings.visible[index] ?? NaN,
      countOf: (index: number) => counts[index] ?? 0,
      announcedOf: (index: number) => times[index] ?? NaN,
      /** The newest instant that the poller has seen, after midnight. */
      reachedMs: msFromInstant(newest) - MIDNIGHT_MS,
      highWaterMs: msFromInstant(highWater) - MIDNIGHT_MS,
      /** The poller announces no event from before this time any more. */
      floorMs: msFromInstant(poller.lowWatermark() ?? 0n) - MIDNIGHT_MS
    }
  }

  function callNext (): void {
    const { done, value: atMs } = calls.next()
    if (done === true) return
    time.setTimer(() => {
      ask(CALLER)
      callNext()
    }, atMs - time.nowMs())
  }

  function openBookmark (now: Instant): Bookmark {
    newest = now - HISTORY
    return createBookmark({ from: newest, latenessMs: LATENESS_MS, mostKnown: MOST_KNOWN })
  }

  /** Takes of the budget as the client does. */
  function ask (purpose: Purpose): number {
    const waitMs = budget.take(purpose, clock())
    requests.push({ atMs: time.nowMs(), purpose: purpose.kind, waitMs })
    return waitMs
  }

  async function publish (announcement: Announcement): Promise<void> {
    const before = newest
    let previous: Instant | undefined
    for (const each of announcement.entries) {
      if ('gap' in each || each.event.instant === undefined) {
        faults.push('something that is no event of this log')
        continue
      }
      const { event: { id, instant }, late } = each
      if (previous !== undefined && instant < previous) faults.push(`${id} comes before an older one`)
      if (late !== (instant < before)) faults.push(`${id} is ${late ? '' : 'not '}called late`)
      previous = instant
      newest = maxInstant(newest, instant)
      const index = Number(id.slice(1))
      counts[index] = (counts[index] ?? 0) + 1
      times[index] = time.nowMs()
    }
    highWater = announcement.highWater
  }
}

interface Timer {
  readonly atMs: number
  readonly callback: () => void
}

/** A clock that stands still until a test lets time pass. */
export function createTime () {
  const timers: Timer[] = [] // By time; timers of one time in the order in which they were set.
  let nowMs = 0

  return { nowMs: () => nowMs, setTimer, wait, pass }

  function setTimer (callback: () => void, waitMs: number): () => void {
    const timer = { atMs: nowMs + waitMs, callback }
    const index = timers.findLastIndex(({ atMs }) => atMs <= timer.atMs) + 1
    timers.splice(index, 0, timer)
    return () => {
      const at = timers.indexOf(timer)
      if (at >= 0) timers.splice(at, 1)
    }
  }

  function wait (ms: number): Promise<void> {
    return new Promise((resolve) => { setTimer(resolve, ms) })
  }

  /** Whatever follows from a timer without waiting has happened before the next timer goes off. */
  function pass (ms: number): Promise<void> {
    const endMs = nowMs + ms
    return new Promise((resolve) => {
      setImmediate(goOn)

      function goOn (): void {
        const next = timers[0]
        if (next === undefined || next.atMs > endMs) {
          nowMs = endMs
          return resolve()
        }
        nowMs = Math.max(nowMs, next.atMs)
        timers.shift()
        next.callback()
        setImmediate(goOn)
      }
    })
  }
}

interface UpstreamOptions {
  readonly happenings: Happenings
  readonly pageCap: number
  readonly ask: (purpose: Purpose) => number
  readonly clock: () => number
  readonly wait: (ms: number) => Promise<void>
  readonly reportQuirk: (quirk: Quirk) => void
}

/**
 * Kubiya with a silent page cap, exact bounds in whole seconds and ids of its own; answers are cut out of what is laid
 * out.
 */
function createUpstream (
  { ask, clock, happenings: { instants, visible }, reportQuirk, pageCap, wait }: UpstreamOptions
): AuditSource {
  const events: AuditEvent[] = []
  let longest = 0

  return {
    read,
    find: async () => ({ ok: true, event: undefined }),
    reportQuirk,
    quirks: new Set()
  }

  async function read (query: SourceQuery, purpose: Purpose): Promise<Answer | Failure> {
    const waitMs = ask(purpose)
    if (waitMs > 0) return { ok: false, kind: 'budget', retryAfterMs: waitMs }
    const upstreamMs = clock()
    const rows = cutOut(query, upstreamMs - MIDNIGHT_MS)
    await wait(ANSWER_MS)
    longest = Math.max(longest, rows.length)
    const end = rows.length === 0
      ? true
      : rows.length >= query.pageSize
        ? false
        : rows.length < longest
          ? true
          : undefined
    return {
      ok: true,
      events: rows,
      rows: rows.length,
      end,
      upstreamMs: Math.floor(upstreamMs / SECOND_MS) * SECOND_MS
    }
  }

  function cutOut ({ direction, page, pageSize, window: { start, end } }: SourceQuery, nowMs: number): AuditEvent[] {
    const size = Math.min(pageSize, pageCap)
    const fromMs = start === undefined ? -Infinity : msFromInstant(floorToSecond(start)) - MIDNIGHT_MS
    const toMs = Math.min(nowMs, end === undefined ? Infinity : msFromInstant(ceilToSecond(end)) - MIDNIGHT_MS)
    const first = firstFrom(instants, fromMs)
    const behind = firstFrom(instants, toMs + Number.EPSILON)
    const rows: AuditEvent[] = []
    let skipped = (page - 1) * size
    for (let i = 0; i < behind - first && rows.length < size; i++) {
      const index = direction === 'asc' ? first + i : behind - 1 - i
      if ((visible[index] ?? Infinity) <= nowMs && skipped-- <= 0) rows.push(eventAt(index))
    }
    return rows
  }

  function eventAt (index: number): AuditEvent {
    const event = events[index] ??
      { id: `e${index}`, instant: instantFromMs(MIDNIGHT_MS + (instants[index] ?? 0)), item: {}, json: '' }
    events[index] = event
    return event
  }
}

/** The first index whose value is at least so much. */
function firstFrom (ascending: Float64Array, least: number): number {
  let [low, high] = [0, ascending.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ascending[middle] ?? 0) < least) low = middle + 1
    else high = middle
  }
  return low
}

function layOut (phases: readonly Phase[], endMs: number, random: () => number): Happenings {
  const instants = Array.from(
    { length: EARLIER_EVENTS },
    (_, i) => Math.floor(-EARLIER_MS + i * EARLIER_MS / EARLIER_EVENTS)
  )
  phases.forEach(([fromMs, perSecond], i) => {
    const untilMs = Math.min(endMs, phases[i + 1]?.[0] ?? Infinity)
    for (let ms = fromMs; ;) {
      ms += -Math.log(1 - random()) / perSecond * SECOND_MS
      if (ms >= untilMs) return
      instants.push(Math.floor(ms))
    }
  })
  const visible = instants.map((ms) =>
    ms + Math.floor(random() * (ms >= 0 && random() < LATE_SHARE ? LATE_MS : VISIBLE_MS))
  )
  return { instants: Float64Array.from(instants), visible: Float64Array.from(visible) }
}

/** Random numbers that are the same each time. */
export function seeded (seed: number): () => number {
  return createChance(seed).next
}

/** The most requests in any stretch of so many milliseconds; times ascend. */
export function mostWithin (times: readonly number[], spanMs: number): number {
  let most = 0
  for (let first = 0, last = 0; last < times.length; last++) {
    while ((times[last] ?? 0) - (times[first] ?? 0) >= spanMs) first++
    most = Math.max(most, last - first + 1)
  }
  return most
}
