import type { AuditEvent } from '../audit/event.ts'
import { compileFilter } from '../audit/filter.ts'
import { grainOf } from '../audit/grain.ts'
import { compareRows, placeRows, type Row } from '../audit/place.ts'
import type { AuditSource, Failure } from '../audit/source.ts'
import { tileAt, type Tile } from '../audit/tile.ts'
import { isWithin } from '../audit/window.ts'
import type { Page, PageRequest } from './page.ts'

// One instant may go on over this many answers on either side of the page before counting from the first row is cheaper.
const MOST_ANSWERS = 12

/**
 * Reads the rows (page − 1) · page_size … by number, without reading those before. Instants that the page's borders cut
 * are read whole, so that numbered pages and `next` give one order. `unsuitable` where numbers cannot be trusted: the
 * upstream sends rows that had to be refused, not in order, or too many at once.
 */
export async function readNumbered (source: AuditSource, request: PageRequest, upstreamSize: number): Promise<Page | Failure | 'unsuitable'> {
  const { direction, filter, pageSize, window } = request
  const accepts = compileFilter(filter)
  const first = (request.page - 1) * pageSize
  const end = first + pageSize
  let size = upstreamSize
  let learned = false

  if (source.habits.has('sorts-by-second')) return 'unsuitable'
  let found = await read(tileAt(first - 1, size))
  for (let answers = 1; answers < MOST_ANSWERS; answers++) {
    if (found === 'unsuitable' || !found.ok) return found
    const { start, rows, isLast }: Run = found
    const opens = start > 0 && isOneInstant(rows.slice(0, first - start + 1)) && rows.length > first - start
    const closes = !isLast && isOneInstant(rows.slice(end - 1 - start))
    if (!opens && !closes) return page(found)
    const border = opens ? start : start + firstOfLastInstant(rows)
    const more = await read(tileAt(opens ? border - 1 : border, size))
    if (more === 'unsuitable' || !more.ok) return more
    found = opens
      ? { ok: true, start: more.start, rows: [...more.rows.slice(0, border - more.start), ...rows], isLast }
      : { ok: true, start, rows: [...rows.slice(0, border - start), ...more.rows.slice(border - more.start)], isLast: more.isLast }
  }
  return 'unsuitable'

  async function read (tile: Tile): Promise<Run | Failure | 'unsuitable'> {
    const answer = await source.read({ filter, window, direction, page: tile.page, pageSize: tile.size }, 'caller')
    if (!answer.ok) return answer.kind === 'too-large' ? 'unsuitable' : answer
    if (answer.rows < tile.size && !learned) {
      // Short: either the end, or a page size that is not honoured, and then the number meant other rows.
      const probe = await source.read({ filter, window, direction, page: 1, pageSize: size }, 'caller')
      if (!probe.ok) return probe
      learned = true
      if (probe.rows > 0 && probe.rows < tile.size) {
        size = probe.rows
        return read(tileAt(first - 1, size))
      }
    }
    const rows = placeRows(answer.events, direction, window.end ?? window.start)
    const isSound = answer.rows === rows.length && rows.every(({ event }) => isAccepted(event)) && grainOf(rows, direction) === 'instant'
    return isSound ? { ok: true, start: tile.start, rows, isLast: answer.rows < tile.size } : 'unsuitable'
  }

  function isAccepted (event: AuditEvent): boolean {
    return accepts(event.item) && (event.instant === undefined || isWithin(event.instant, window))
  }

  function page ({ start, rows, isLast }: Run): Page {
    const given = rows.sort(compareRows(direction)).slice(first - start, end - start)
    const events = [...new Map(given.map(({ event }) => [event.id, event])).values()]
    const hasMore = given.length > 0 && (!isLast || rows.length > end - start)
    return { ok: true, events, next: hasMore ? given.at(-1)?.place : undefined, skip: 0, scanned: rows.length, complete: true, judged: false, passing: false }
  }
}

/** Rows that follow each other, the first of them being row `start` of the window. */
interface Run {
  readonly ok: true
  readonly start: number
  readonly rows: Row[]
  readonly isLast: boolean
}

/** Where the last instant begins, so that it is read again with what follows: twins are counted in one answer. */
function firstOfLastInstant (rows: Row[]): number {
  const before = rows.findLastIndex(({ place }) => place.instant !== rows.at(-1)?.place.instant)
  return Math.max(before + 1, rows.length - Math.floor(rows.length / 4))
}

/** Whether nothing shows where an instant ends: too few rows, or all of one. */
function isOneInstant (rows: Row[]): boolean {
  return rows.every(({ place }) => place.instant === rows[0]?.place.instant)
}
