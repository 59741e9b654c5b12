import { createHash } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import { PublishedEventRef, type AuditEvent } from '../audit/event.ts'
import { encodeCursor, type LogCursor } from '../audit/cursor.ts'
import { minInstant, formatInstant, maxInstant, type Instant } from '../audit/instant.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import type { TimeRange } from '../audit/time-range.ts'
import type { SkippedRange } from '../scan/skipped-range.ts'
import type { Page, PageQuery } from './page-query.ts'

const bound = (description: string) =>
  Type.Union([Type.String(), Type.Null()], { description, examples: ['2025-06-03T00:00:00Z'] })

export const Pagination = Type.Object({
  page: Type.Integer({ minimum: 1, description: 'Number of this page, from 1.', examples: [1] }),
  page_size: Type.Integer({ minimum: 1, description: 'Largest number of items on a page.', examples: [50] }),
  has_more: Type.Boolean({
    description: 'Whether there may be another page. It may turn out to be empty.',
    examples: [true]
  }),
  next: Type.Union([Type.String(), Type.Null()], {
    description:
      'URL of the next page. Following it returns every event that was visible when the first page was read, ' +
        'exactly once.',
    examples: ['/api/v1/audit/events?cursor=1.WyJw…']
  }),
  next_cursor: Type.Union([Type.String(), Type.Null()], {
    description: 'Only the parameter `cursor` of the next page, for clients that build the URL.',
    examples: ['1.WyJw…']
  }),
  scanned: Type.Optional(
    Type.Integer({
      minimum: 0,
      description:
        'Number of events scanned for this page. Set if rows were filtered here, so that pages count matches.'
    })
  ),
  complete: Type.Optional(
    Type.Boolean({
      description: 'False if the scan limit or the request budget ended the page early; `next` continues from there.'
    })
  ),
  skipped: Type.Optional(Type.Array(
    Type.Object({
      from: Type.String({ description: 'Start of the interval, usable as `start_time`.' }),
      to: Type.String({ description: 'End of the interval, usable as `end_time`.' }),
      reason: Type.Union([Type.Literal('too-large'), Type.Literal('upstream-outage')], {
        description: "As in a stream's `gap`."
      })
    }),
    { description: 'Ranges with events that could not be read. Missing if there are none.' }
  ))
}, { description: 'The position of this page.' })

export const Window = Type.Object({
  start_time: bound('Lower bound, inclusive; null: none.'),
  end_time: bound('Upper bound, inclusive; null: none.')
}, { description: 'The window that was read.' })

const LiveCursor = Type.String({
  description:
    'Position of the live log before Kubiya was asked: `GET /api/v1/audit/stream?since=…` continues from here ' +
      'without a gap. Set on first pages of windows that are still open; also in the header `x-live-cursor`.'
})

/** The response of a list. */
export const EventPage = Type.Object({
  items: Type.Array(PublishedEventRef),
  pagination: Pagination,
  window: Window,
  live_cursor: Type.Optional(LiveCursor)
}, { $id: 'EventPage', description: 'A page of audit events.' })

/** The response of a search. */
export const SearchPage = Type.Object({
  ...EventPage.properties,
  search_summary: Type.Object({
    text: Type.Union([Type.String(), Type.Null()], { description: 'The requested text.' }),
    status: Type.Union([Type.String(), Type.Null()], { description: 'The requested status.' }),
    category_type: Type.Union([Type.String(), Type.Null()], { description: 'The requested category.' }),
    time_range: Type.Object({ start: bound('As in `window`.'), end: bound('As in `window`.') }),
    scanned: Type.Integer({ minimum: 0, description: 'Number of events scanned for this page.' }),
    complete: Type.Boolean({
      description: 'False if the scan limit or the request budget ended the page early; `next` continues from there.'
    })
  }, { description: 'What was searched, and how far.' })
}, { $id: 'SearchPage', description: 'A page of matches.' })

/** A page of events of which only the texts are needed. */
export type RenderedPage = Page<Pick<AuditEvent, 'json'>>

const LONGEST_LINK_BYTES = 2000 // Proxies refuse responses whose headers exceed their buffer, which is often 4 KiB.
const PATHS = { list: '/api/v1/audit/events', search: '/api/v1/audit/events/search' }

/** The cursor of the next page. It contains the whole query. Kubiya's own list has numbers instead. */
export function nextCursor (query: PageQuery, window: TimeRange, page: RenderedPage): string | undefined {
  const { direction, filter, operation, pageSize } = query
  if (page.next === undefined || operation === 'items') return undefined
  const { next: after, skip } = page
  const number = query.page + (skip > 0 ? 0 : 1) // The scan may end before the page begins: the next one is this page.
  return encodeCursor({ kind: 'page', operation, filter, window, direction, pageSize, page: number, skip, after })
}

/** The query string of the next page of Kubiya's own list. */
export function nextNumber ({ numbered, page: number }: PageQuery, page: RenderedPage): string | undefined {
  return page.next === undefined || numbered === undefined ? undefined : `${numbered}&page=${number + 1}`
}

/** The header `Link`, name and value; none if it would be too long. Relative, so it is right below any path. */
export function linkHeader (search: string | undefined): string[] {
  const link = `<?${search ?? ''}>; rel="next"`
  return search === undefined || link.length > LONGEST_LINK_BYTES ? [] : ['link', link]
}

export interface RenderedBody {
  readonly body: Buffer
  /** Weak validator (RFC 9110 §8.8.1): equal if all events are equal. */
  readonly etag: string
}

/** Renders a page. The events go in as the texts that they are: no serializer may change what Kubiya sent. */
export async function renderPage (
  query: PageQuery, window: TimeRange, page: RenderedPage, cursor: string | undefined, liveCursor: LogCursor | undefined
): Promise<RenderedBody> {
  const { filter, operation, prefix = '' } = query
  const items = page.events.map(({ json }) => json)
  if (operation === 'items') return writeItems(items, '[', ']', '')
  const [start, end] = [text(window.start), text(window.end)]
  const rest = {
    pagination: paginationOf(query, page, window, `${prefix}${PATHS[operation]}`, cursor),
    window: { start_time: start, end_time: end },
    ...operation === 'search' && {
      search_summary: {
        text: filter.text ?? null,
        status: filter.status ?? null,
        category_type: filter.category_type ?? null,
        time_range: { start, end },
        scanned: page.scanned,
        complete: page.complete
      }
    },
    ...liveCursor !== undefined && { live_cursor: encodeCursor(liveCursor) }
  }
  return writeItems(items, '{"items":[', `],${JSON.stringify(rest).slice(1)}`, prefix)
}

/** The position of a page. `path`: where `next` leads, before the cursor. */
export function paginationOf (
  { page: number, pageSize }: Pick<PageQuery, 'page' | 'pageSize'>,
  page: RenderedPage,
  window: TimeRange,
  path: string,
  cursor: string | undefined
) {
  return {
    page: number,
    page_size: pageSize,
    has_more: cursor !== undefined,
    next: cursor === undefined ? null : `${path}?cursor=${cursor}`,
    next_cursor: cursor ?? null,
    ...page.filteredLocally && { scanned: page.scanned, complete: page.complete },
    ...page.skipped.length > 0 && { skipped: page.skipped.map((each) => skippedInterval(each, window)) }
  }
}

/** Renders one event. */
export async function renderEvent (json: string): Promise<RenderedBody> {
  return writeItems([json], '', '', '')
}

/**
 * Joins the texts of events between a head and a tail, in time slices: ten megabytes take some hundred milliseconds.
 * The validator covers the events and `validated`, such as the path prefix of the links.
 */
export async function writeItems (
  jsons: readonly string[],
  head: string,
  tail: string,
  validated: string
): Promise<RenderedBody> {
  const hash = createHash('sha256').update(validated)
  const commas = Math.max(0, jsons.length - 1)
  const length = jsons.reduce((sum, json) => sum + Buffer.byteLength(json), Buffer.byteLength(head + tail) + commas)
  const body = Buffer.allocUnsafeSlow(length) // The cache keeps it: a piece of a pool would keep the pool.
  let at = body.write(head)
  for (const [index, json] of jsons.entries()) {
    if (index > 0) at += body.write(',', at)
    const end = at + body.write(json, at)
    hash.update(body.subarray(at, end)).update('\n')
    at = end
    await pauseIfDue()
  }
  body.write(tail, at)
  return { body, etag: `W/"${hash.digest('base64url').slice(0, 22)}"` }
}

function skippedInterval ({ from, reason, to = from }: SkippedRange, { end, start }: TimeRange) {
  const [first, last] = [maxInstant(from, start ?? from), end === undefined ? to : minInstant(to, end)]
  return { from: formatInstant(first), to: formatInstant(maxInstant(first, last)), reason }
}

function text (instant: Instant | undefined): string | null {
  return instant === undefined ? null : formatInstant(instant)
}
