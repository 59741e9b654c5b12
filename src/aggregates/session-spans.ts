import { UNDATED, type Chunk } from './chunk.ts'
import { MISSING, OTHER, type Dictionary } from './dictionary.ts'
import type { TableSnapshot } from './event-table.ts'
import { eachValue, type ValueCodes } from './joined-values.ts'
import type { SelectedRows } from './selection.ts'

const NANOS = 1_000_000_000

/** The events of each session in one table, and from when to when they are. */
export interface SessionSpans {
  readonly dictionary: Dictionary
  readonly events: Uint32Array
  /** The first and the last dated event: seconds since 1970 and nanoseconds. Infinite: no event is dated. */
  readonly firstSeconds: Float64Array
  readonly firstNanos: Uint32Array
  readonly lastSeconds: Float64Array
  readonly lastNanos: Uint32Array
  count (chunk: Chunk, selected: SelectedRows): void
}

export interface JoinedSpans {
  /** The events of each session. */
  readonly events: Float64Array
  /** The events of all sessions. */
  readonly sum: number
  /** The seconds from the first to the last dated event of each session that has one. */
  readonly durations: Float64Array
  readonly eventsWithoutSession: number
  /** Whether there are events of sessions that a dictionary could not hold. */
  readonly isCapped: boolean
}

export function createSessionSpans ({ dictionaries: { session: dictionary } }: TableSnapshot): SessionSpans {
  const { size } = dictionary
  const events = new Uint32Array(size)
  const firstSeconds = new Float64Array(size).fill(Infinity)
  const firstNanos = new Uint32Array(size)
  const lastSeconds = new Float64Array(size).fill(-Infinity)
  const lastNanos = new Uint32Array(size)
  return { dictionary, events, firstSeconds, firstNanos, lastSeconds, lastNanos, count }

  function count ({ codes, flags, nanos, seconds }: Chunk, { count, indices }: SelectedRows): void {
    const { session: sessions } = codes
    for (let at = 0; at < count; at++) {
      const row = indices[at] ?? 0
      const session = sessions[row] ?? 0
      events[session] = (events[session] ?? 0) + 1
      if (((flags[row] ?? 0) & UNDATED) === 0) widen(session, seconds[row] ?? 0, nanos[row] ?? 0)
    }
  }

  function widen (session: number, second: number, nanos: number): void {
    const first = firstSeconds[session] ?? Infinity
    const last = lastSeconds[session] ?? -Infinity
    if (second < first || (second === first && nanos < (firstNanos[session] ?? 0))) {
      firstSeconds[session] = second
      firstNanos[session] = nanos
    }
    if (second > last || (second === last && nanos > (lastNanos[session] ?? 0))) {
      lastSeconds[session] = second
      lastNanos[session] = nanos
    }
  }
}

/** Joins the spans of several tables by session, in slices of time. */
export async function joinSpans (spans: readonly SessionSpans[]): Promise<JoinedSpans> {
  const most = spans.reduce((sum, { dictionary }) => sum + dictionary.size, 0)
  const [events, durations] = [new Float64Array(most), new Float64Array(most)]
  let [sessions, dated, sum] = [0, 0, 0]
  await eachValue(spans.map(({ dictionary }) => dictionary), (codes) => {
    const count = eventsOf(spans, codes)
    if (count === 0) return
    const duration = durationOf(spans, codes)
    sum += count
    events[sessions++] = count
    if (duration !== undefined) durations[dated++] = duration
  })
  const eventsAt = (code: number) => spans.reduce((sum, { events }) => sum + (events[code] ?? 0), 0)
  return {
    events: events.subarray(0, sessions),
    durations: durations.subarray(0, dated),
    sum,
    eventsWithoutSession: eventsAt(MISSING),
    isCapped: eventsAt(OTHER) > 0
  }
}

function eventsOf (spans: readonly SessionSpans[], codes: ValueCodes): number {
  let sum = 0
  for (let place = 0; place < spans.length; place++) sum += spans[place]?.events[codes[place] ?? Infinity] ?? 0
  return sum
}

/**
 * From the first dated event to the last one, in seconds. `undefined`: there is none. The difference is taken in
 * nanoseconds: it is exact up to 104 days.
 */
function durationOf (spans: readonly SessionSpans[], codes: ValueCodes): number | undefined {
  const extent: Extent = { first: Infinity, firstNanos: 0, last: -Infinity, lastNanos: 0 }
  for (let place = 0; place < spans.length; place++) {
    const each = spans[place]
    const code = codes[place]
    if (each === undefined || code === undefined) continue
    startWith(extent, each.firstSeconds[code] ?? Infinity, each.firstNanos[code] ?? 0)
    endWith(extent, each.lastSeconds[code] ?? -Infinity, each.lastNanos[code] ?? 0)
  }
  const { first, firstNanos, last, lastNanos } = extent
  return first === Infinity ? undefined : ((last - first) * NANOS + lastNanos - firstNanos) / NANOS
}

/** Seconds since 1970 and nanoseconds. */
interface Extent {
  first: number
  firstNanos: number
  last: number
  lastNanos: number
}

function startWith (extent: Extent, second: number, nanos: number): void {
  if (second > extent.first || (second === extent.first && nanos >= extent.firstNanos)) return
  extent.first = second
  extent.firstNanos = nanos
}

function endWith (extent: Extent, second: number, nanos: number): void {
  if (second < extent.last || (second === extent.last && nanos <= extent.lastNanos)) return
  extent.last = second
  extent.lastNanos = nanos
}
