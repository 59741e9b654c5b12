import { pauseIfDue } from '../audit/time-slice.ts'
import { UNDATED, type Chunk } from './chunk.ts'
import { FIRST_CODE, MISSING, OTHER, type Dictionary } from './dictionary.ts'
import type { TableSnapshot } from './event-table.ts'
import type { SelectedRows } from './selection.ts'

const NANOS = 1_000_000_000
const SESSIONS_BETWEEN_PAUSES = 1000

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
  const eventsOf = (code: number) => spans.reduce((sum, { events }) => sum + (events[code] ?? 0), 0)
  return {
    ...spans.length === 1 && spans[0] !== undefined ? ofOne(spans[0]) : await ofSeveral(spans),
    eventsWithoutSession: eventsOf(MISSING),
    isCapped: eventsOf(OTHER) > 0
  }
}

interface Extent {
  events: number
  first: readonly [second: number, nanos: number]
  last: readonly [second: number, nanos: number]
}

type Figures = Pick<JoinedSpans, 'events' | 'durations'>

function ofOne ({ dictionary, events, firstNanos, firstSeconds, lastNanos, lastSeconds }: SessionSpans): Figures {
  const figures = createFigures(dictionary.size)
  for (let code = FIRST_CODE; code < dictionary.size; code++) {
    const first = firstSeconds[code] ?? Infinity
    const last = lastSeconds[code] ?? -Infinity
    figures.add(events[code] ?? 0, first, firstNanos[code] ?? 0, last, lastNanos[code] ?? 0)
  }
  return figures.all()
}

async function ofSeveral (parts: readonly SessionSpans[]): Promise<Figures> {
  const joined = new Map<string, Extent>()
  for (const spans of parts) {
    for (let code = FIRST_CODE; code < spans.dictionary.size; code++) {
      if (code % SESSIONS_BETWEEN_PAUSES === 0) await pauseIfDue()
      if ((spans.events[code] ?? 0) === 0) continue
      const session = spans.dictionary.textOf(code) ?? ''
      const [known, more] = [joined.get(session), extentAt(spans, code)]
      joined.set(session, known === undefined ? more : joinExtents(known, more))
    }
  }
  const figures = createFigures(joined.size)
  for (const { events, first, last } of joined.values()) figures.add(events, first[0], first[1], last[0], last[1])
  return figures.all()
}

function extentAt ({ events, firstNanos, firstSeconds, lastNanos, lastSeconds }: SessionSpans, code: number): Extent {
  return {
    events: events[code] ?? 0,
    first: [firstSeconds[code] ?? Infinity, firstNanos[code] ?? 0],
    last: [lastSeconds[code] ?? -Infinity, lastNanos[code] ?? 0]
  }
}

function joinExtents (a: Extent, b: Extent): Extent {
  const isBefore = ([second, nanos]: Extent['first'], other: Extent['first']) =>
    second < other[0] || (second === other[0] && nanos < other[1])
  return {
    events: a.events + b.events,
    first: isBefore(a.first, b.first) ? a.first : b.first,
    last: isBefore(a.last, b.last) ? b.last : a.last
  }
}

/** Collects the figures of sessions with events. */
function createFigures (most: number) {
  const events = new Float64Array(most)
  const durations = new Float64Array(most)
  let [sessions, dated] = [0, 0]
  return { add, all: () => ({ events: events.subarray(0, sessions), durations: durations.subarray(0, dated) }) }

  /** The difference is taken in nanoseconds: it is exact up to 104 days. */
  function add (count: number, first: number, firstNanos: number, last: number, lastNanos: number): void {
    if (count === 0) return
    events[sessions++] = count
    if (first !== Infinity) durations[dated++] = ((last - first) * NANOS + lastNanos - firstNanos) / NANOS
  }
}
