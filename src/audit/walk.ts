import type { AuditEvent } from './event.ts'
import { compileFilter, type AuditFilter } from './filter.ts'
import { NANOS_PER_SECOND, ceilToSecond, floorToSecond, type Instant } from './instant.ts'
import { compareRows, placeRows, type Row } from './place.ts'
import type { Answer, AuditSource, Direction, Failure, Purpose } from './source.ts'
import { tileAt } from './tile.ts'
import { isWithin, type TimeWindow } from './window.ts'

export interface WalkRequest {
  readonly filter: AuditFilter
  readonly window: TimeWindow
  readonly direction: Direction
  readonly pageSize: number
  readonly purpose: Purpose
}

/** What one upstream answer added to a walk. */
export interface Step {
  readonly ok: true
  /** Accepted events that the walk had not met before, in the walk's order. */
  readonly rows: Row[]
  /** Events met for the first time, accepted or not. */
  readonly scanned: number
  /** Events that the upstream should not have sent: outside the filter or the window. */
  readonly refused: number
  /** All events strictly before this instant (going down: behind it) were met; `undefined`: nothing is certain yet. */
  readonly reached: Instant | undefined
  /** The window was read to its end: all of it was met. */
  readonly end: boolean
  readonly upstreamMs: number | undefined
  /** The largest page that is asked for by now: less than was wanted where answers were over the byte cap. */
  readonly largest: number
}

// What the upstream's order can be trusted for: each instant, whole seconds, nothing.
type Grain = 'instant' | 'second' | 'none'

const MOST_BARREN_ANSWERS = 3

/**
 * Reads a window of the upstream log in order, one answer a step. It walks on by instant: the next question begins,
 * inclusively, at the second of the last row, so that events which arrive meanwhile shift nothing and twins at a border
 * are seen together. Page numbers serve only inside a second that is longer than a page, overlapping by a quarter. An
 * upstream that does not sort, or ignores the bounds, is read page by page to the end and sorted here.
 *
 * Order: by place within a step, and from step to step as far as `reached` says. Loss: none, unless the upstream removes
 * rows or splits twins over more than a page. Duplication: none within a walk. After a failure it can be gone on with: it
 * asks the same question again, so that a long walk through a shaky upstream gets to its end.
 */
export async function * walk (source: AuditSource, request: WalkRequest): AsyncGenerator<Step | Failure, void, void> {
  const accepts = compileFilter(request.filter)
  let direction = request.direction
  let bound = request.window
  let pinned = false // The bounds are of no use: go on by page number alone.
  let grain: Grain = 'instant'
  let longest = 0 // The longest answer so far: a page size that the upstream honours.
  let largest = request.pageSize
  let isCapped = false // Whether the last answer was shorter than asked for and still perhaps not the end.
  let stretch = newStretch()

  while (true) {
    const tile = stretch.offset === 0 ? tileAt(0, largest) : tileAt(stretch.offset, Math.min(longest, largest))
    const answer = await source.read({ filter: request.filter, window: bound, direction, page: tile.page, pageSize: tile.size }, request.purpose)
    if (!answer.ok && answer.kind === 'too-large' && tile.size > 1) {
      largest = Math.floor(tile.size / 2)
      continue
    }
    if (!answer.ok) {
      yield answer // Whoever goes on after a failure asks the same question again.
      continue
    }
    longest = Math.max(longest, answer.rows)

    const rows = placeRows(answer.events, direction, bound.end ?? bound.start)
    grain = coarser(grain, grainOf(rows, direction))
    if (!pinned && (grain === 'none' || rows.some(({ event }) => strays(event, bound)))) {
      pinned = true
      bound = request.window
      if (direction === 'asc') {
        // Newest first comes to an end by itself even where the lower bound is ignored; oldest first would read it all.
        direction = 'desc'
        grain = 'none'
        stretch = newStretch()
        continue
      }
    }
    if (hasSlipped(stretch, rows)) {
      stretch = { ...stretch, offset: 0, rereading: true }
      continue
    }

    const read = tile.start + answer.rows
    const fresh = meet(stretch.met, rows)
    stretch.barren = fresh.length > 0 ? 0 : stretch.barren + (read > stretch.furthest ? 1 : 0)
    stretch.furthest = Math.max(stretch.furthest, read)
    const end = answer.rows === 0 || answer.end === true || stretch.barren >= MOST_BARREN_ANSWERS ||
      (pinned && isPast(rows, request.window, direction))
    yield step(answer, rows, fresh, end)
    if (end) return
    if (isCapped && fresh.length > 0) largest = Math.min(largest, longest) // It was not the end: the upstream has a smaller page.
    isCapped = answer.end === undefined

    const last = rows.at(-1)?.place.instant
    if (last !== undefined && !pinned && !isCapped && isOutside(last, bound, direction)) {
      bound = direction === 'asc' ? { ...bound, start: last } : { ...bound, end: last }
      stretch = newStretch([...stretch.met].filter(([, instant]) => instant === undefined || isAskedAgain(instant, last, direction)))
    } else {
      const size = Math.min(longest, largest)
      const overlapping = read - overlap(rows, size)
      const next = tileAt(overlapping, size)
      stretch.offset = next.start + next.size > read ? overlapping : read
    }
  }

  function step (answer: Answer, rows: Row[], fresh: Row[], end: boolean): Step {
    const last = rows.at(-1)?.place.instant
    const wanted = fresh.filter(({ event }) => accepts(event.item) && !strays(event, request.window))
    return {
      ok: true,
      rows: wanted
        .filter(({ event }) => event.instant === undefined || isWithin(event.instant, request.window))
        .sort(compareRows(request.direction)),
      scanned: fresh.length,
      refused: fresh.length - wanted.length,
      reached: last === undefined ? undefined : reachedBy(last, grain, request.direction),
      end,
      upstreamMs: answer.upstreamMs,
      largest
    }
  }
}

/** Reading under one and the same bound. */
interface Stretch {
  offset: number
  /** Rows read from the start of the stretch. */
  furthest: number
  /** Answers in a row that reached further and brought nothing new: an upstream that ignores page numbers. */
  barren: number
  rereading: boolean
  /** Ids met, with their instants; those without one may be met under any bound. */
  readonly met: Map<string, Instant | undefined>
}

function newStretch (met: Array<[string, Instant | undefined]> = []): Stretch {
  return { offset: 0, furthest: 0, barren: 0, rereading: false, met: new Map(met) }
}

function meet (met: Stretch['met'], rows: Row[]): Row[] {
  return rows.filter(({ event }) => {
    const isNew = !met.has(event.id)
    if (isNew) met.set(event.id, event.instant)
    return isNew
  })
}

/** Whether rows were removed, so that this page lies behind a hole: pages overlap, so its first row should be known. */
function hasSlipped (stretch: Stretch, rows: Row[]): boolean {
  return stretch.offset > 0 && stretch.offset < stretch.furthest && !stretch.rereading &&
    rows[0] !== undefined && !stretch.met.has(rows[0].event.id)
}

function isOutside (last: Instant, bound: TimeWindow, direction: Direction): boolean {
  if (direction === 'asc') return bound.start === undefined || floorToSecond(last) > floorToSecond(bound.start)
  return bound.end === undefined || ceilToSecond(last) < ceilToSecond(bound.end)
}

function isAskedAgain (instant: Instant, last: Instant, direction: Direction): boolean {
  return direction === 'asc' ? instant >= floorToSecond(last) : instant <= ceilToSecond(last)
}

function grainOf (rows: Row[], direction: Direction): Grain {
  let grain: Grain = 'instant'
  for (let i = 1; i < rows.length; i++) {
    const [before, after] = [rows[i - 1]?.place.instant ?? 0n, rows[i]?.place.instant ?? 0n]
    if (direction === 'asc' ? before <= after : before >= after) continue
    if (floorToSecond(before) !== floorToSecond(after)) return 'none'
    grain = 'second'
  }
  return grain
}

function coarser (a: Grain, b: Grain): Grain {
  const order: Grain[] = ['instant', 'second', 'none']
  return order[Math.max(order.indexOf(a), order.indexOf(b))] ?? 'none'
}

/** Whether a row lies outside even the whole seconds that were asked for. */
function strays ({ instant }: AuditEvent, { start, end }: TimeWindow): boolean {
  return instant !== undefined &&
    ((start !== undefined && instant < floorToSecond(start)) || (end !== undefined && instant > ceilToSecond(end)))
}

/** Whether all further rows of an orderly upstream would be outside the window. */
function isPast (rows: Row[], { start, end }: TimeWindow, direction: Direction): boolean {
  const last = rows.at(-1)?.place.instant
  if (last === undefined || grainOf(rows, direction) === 'none') return false
  return direction === 'asc' ? end !== undefined && last > ceilToSecond(end) : start !== undefined && last < floorToSecond(start)
}

function reachedBy (last: Instant, grain: Grain, direction: Direction): Instant | undefined {
  if (grain === 'none') return undefined
  if (grain === 'instant') return last
  return direction === 'asc' ? floorToSecond(last) : floorToSecond(last) + NANOS_PER_SECOND - 1n
}

/** How many rows to read again on the next page: those of the last instant, so that twins are counted in one answer. */
function overlap (rows: Row[], size: number): number {
  const last = rows.at(-1)?.place.instant
  const trailing = rows.length - 1 - rows.findLastIndex(({ place }) => place.instant !== last)
  return Math.min(trailing, Math.floor(size / 4))
}
