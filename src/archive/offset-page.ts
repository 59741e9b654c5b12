import { weightOf, type AuditEvent } from '../audit/event.ts'
import { compileFilter } from '../audit/filter.ts'
import { granularityOf } from '../scan/granularity.ts'
import { overlapFrom } from '../scan/page-overlap.ts'
import { compareKeyedEvents, withSortKeys, type KeyedEvent } from '../audit/sort-key.ts'
import type { AuditSource, Failure, Purpose } from '../audit/source.ts'
import { tileAt, type Tile } from '../scan/page-covering.ts'
import { isWithin } from '../audit/time-range.ts'
import { withinBytes, type AnswerSize, type Page, type PageRequest } from './keyset-page.ts'

// One instant may go on over this many answers on either side of the page before counting from the first row is
// cheaper.
const MOST_ANSWERS = 12

/**
 * Reads the rows (page − 1) · page_size … by number, without reading those before. Instants that the page's borders cut
 * are read whole, so that numbered pages and `next` give one order. `unsuitable` where numbers cannot be trusted: the
 * upstream sends rows that had to be refused, not in order, or too many at once.
 */
export async function readNumbered (
  source: AuditSource,
  request: PageRequest,
  size: number,
  purpose: Purpose,
  answerSize: AnswerSize
): Promise<Page | Failure | 'unsuitable'> {
  if (source.quirks.has('sorts-by-second')) return 'unsuitable'
  const outcome = await readWith(source, request, size, purpose, answerSize)
  return typeof outcome === 'number' ? readNumbered(source, request, outcome, purpose, answerSize) : outcome
}

/**
 * Reads with pages of up to `size` rows; a number tells that only so many are honoured, and then pages mean other rows.
 */
async function readWith (
  source: AuditSource,
  request: PageRequest,
  size: number,
  purpose: Purpose,
  answerSize: AnswerSize
): Promise<Page | Failure | 'unsuitable' | number> {
  const { direction, filter, pageSize, window } = request
  const accepts = compileFilter(filter)
  const first = (request.page - 1) * pageSize
  const end = first + pageSize
  let isProven = false

  let found = await read(tileAt(first - 1, size))
  for (let answers = 1; answers < MOST_ANSWERS; answers++) {
    if (!isRun(found)) return found
    answerSize.onHeld(found.rows.reduce((sum, { event }) => sum + weightOf(event), 0))
    const { start, rows, isLast }: Run = found
    const opens = start > 0 && isOneInstant(rows.slice(0, first - start + 1)) && rows.length > first - start
    const closes = !isLast && isOneInstant(rows.slice(end - 1 - start))
    if (!opens && !closes) return page(found)
    // Going back, all is read anew from there: only what follows on the rows before it counts its exact duplicates with
    // them.
    const border = opens ? Math.max(0, start - Math.ceil(size / 2)) : start + overlapFrom(rows, Math.floor(size / 4))
    const more = await read(tileAt(border, size))
    if (!isRun(more)) return more
    found = opens
      ? more
      : { ...more, start, rows: [...rows.slice(0, border - start), ...more.rows.slice(border - more.start)] }
  }
  return 'unsuitable'

  async function read (tile: Tile): Promise<Run | Failure | 'unsuitable' | number> {
    const answer = await source.read({ filter, window, direction, page: tile.page, pageSize: tile.size }, purpose)
    if (!answer.ok) return answer.kind === 'too-large' ? 'unsuitable' : answer
    if (answer.rows < tile.size && !isProven) {
      // Short: either the end, or a page size that is not honoured. The first page of that size tells.
      const isFirst = tile.start === 0 && tile.size === size
      const first = isFirst
        ? answer
        : await source.read({ filter, window, direction, page: 1, pageSize: size }, purpose)
      if (!first.ok) return first
      if (first.rows > 0 && first.rows < size) return first.rows
      isProven = true
    }
    const rows = withSortKeys(answer.events, direction, window.end ?? window.start)
    const isSound = answer.rows === rows.length && rows.every(({ event }) => isAccepted(event)) &&
      granularityOf(rows, direction) === 'instant'
    return isSound ? { ok: true, start: tile.start, rows, isLast: answer.rows < tile.size } : 'unsuitable'
  }

  function isAccepted (event: AuditEvent): boolean {
    return accepts(event.item) && (event.instant === undefined || isWithin(event.instant, window))
  }

  function page ({ start, rows, isLast }: Run): Page {
    const asked = rows.sort(compareKeyedEvents(direction)).slice(first - start, end - start)
    const given = withinBytes(asked, answerSize.maxBytes)
    const events = [...new Map(given.map(({ event }) => [event.id, event])).values()]
    const hasMore = given.length > 0 && (!isLast || rows.length > end - start || given.length < asked.length)
    return {
      ok: true,
      events,
      next: hasMore ? given.at(-1)?.key : undefined,
      skip: 0,
      scanned: rows.length,
      complete: true,
      filteredLocally: false,
      transient: false,
      skipped: []
    }
  }
}

/** Rows that follow each other, the first of them being row `start` of the window. */
interface Run {
  readonly ok: true
  readonly start: number
  readonly rows: KeyedEvent[]
  readonly isLast: boolean
}

function isRun (outcome: Run | Failure | 'unsuitable' | number): outcome is Run {
  return typeof outcome === 'object' && outcome.ok
}

/** Whether nothing shows where an instant ends: too few rows, or all of one. */
function isOneInstant (rows: KeyedEvent[]): boolean {
  return rows.every(({ key }) => key.instant === rows[0]?.key.instant)
}
