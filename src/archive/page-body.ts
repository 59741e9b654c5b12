import { createHash } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import { PublishedEventRef } from '../audit/event.ts'
import { encodeCursor, type LogCursor } from '../audit/cursor.ts'
import { minInstant, formatInstant, maxInstant, type Instant } from '../audit/instant.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import type { TimeRange } from '../audit/time-range.ts'
import type { SkippedRange } from '../scan/scanner.ts'
import type { Page } from './keyset-page.ts'
import type { PageQuery } from './page-query.ts'

const bound = (description: string) =>
  Type.Union([Type.String(), Type.Null()], { description, examples: ['2025-06-03T00:00:00Z'] })

export const Pagination = Type.Object({
  page: Type.Integer({ minimum: 1, description: 'Number of this page, from 1.', examples: [1] }),
  page_size: Type.Integer({ minimum: 1, description: 'Most items of a page.', examples: [50] }),
  has_more: Type.Boolean({
    description: 'Whether there may be a further page; it may turn out to be empty.',
    examples: [true]
  }),
  next: Type.Union([Type.String(), Type.Null()], {
    description:
      'Where the next page is. Following it gives every event that was visible when the first page was read ' +
        'exactly once.',
    examples: ['/api/v1/audit/events?cursor=1.WyJw…']
  }),
  next_cursor: Type.Union([Type.String(), Type.Null()], {
    description: 'The parameter `cursor` of the next page alone, for whoever builds the address.',
    examples: ['1.WyJw…']
  }),
  scanned: Type.Optional(
    Type.Integer({
      minimum: 0,
      description:
        'How many events were looked at for this page; set where rows were judged here, so that pages count matches.'
    })
  ),
  complete: Type.Optional(
    Type.Boolean({
      description: 'False when the scan limit or the request budget ended the page early; `next` goes on from there.'
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
    { description: 'Where events stand that could not be read. Missing where there are none.' }
  ))
}, { description: 'Where this page stands.' })

export const Window = Type.Object({
  start_time: bound('Lower bound, inclusive; null: none.'),
  end_time: bound('Upper bound, inclusive; null: none.')
}, { description: 'The window that was read.' })

const LiveCursor = Type.String({
  description:
    'Position of the live log before Kubiya was asked: `GET /api/v1/audit/stream?since=…` goes on from here ' +
      'without a hole. On first pages of windows that are still open; also in the header `x-live-cursor`.'
})

/** The answer of a list. */
export const EventPage = Type.Object({
  items: Type.Array(PublishedEventRef),
  pagination: Pagination,
  window: Window,
  live_cursor: Type.Optional(LiveCursor)
}, { $id: 'EventPage', description: 'A page of audit events.' })

/** The answer of a search. */
export const SearchPage = Type.Object({
  ...EventPage.properties,
  search_summary: Type.Object({
    text: Type.Union([Type.String(), Type.Null()], { description: 'The text that was searched for.' }),
    status: Type.Union([Type.String(), Type.Null()], { description: 'The status that was asked for.' }),
    category_type: Type.Union([Type.String(), Type.Null()], { description: 'The category that was asked for.' }),
    time_range: Type.Object({ start: bound('As in `window`.'), end: bound('As in `window`.') }),
    scanned: Type.Integer({ minimum: 0, description: 'How many events were looked at for this page.' }),
    complete: Type.Boolean({
      description: 'False when the scan limit or the request budget ended the page early; `next` goes on from there.'
    })
  }, { description: 'What was searched, and how much of it.' })
}, { $id: 'SearchPage', description: 'A page of matches.' })

const LONGEST_LINK_BYTES = 2000 // Proxies refuse answers whose head does not fit their buffer, of 4 KiB mostly.
const PATHS = { list: '/api/v1/audit/events', search: '/api/v1/audit/events/search' }

/** Where the next page begins, with everything that the question was. */
export function nextCursor (question: PageQuery, window: TimeRange, page: Page): string | undefined {
  if (page.next === undefined) return undefined
  const { direction, filter, operation, pageSize } = question
  const { next: after, skip } = page
  // A page that the scan did not get to is still the one that is asked for.
  const number = question.page + (skip > 0 ? 0 : 1)
  return encodeCursor({ kind: 'page', operation, filter, window, direction, pageSize, page: number, skip, after })
}

/** The header `Link` of an answer: relative to the question, so that it is right below any path. */
export function linkTo (cursor: string | undefined): { link?: string } {
  const link = `<?cursor=${cursor ?? ''}>; rel="next"`
  return cursor === undefined || link.length > LONGEST_LINK_BYTES ? {} : { link }
}

export interface RenderedBody {
  readonly body: Buffer
  /** A weak validator (RFC 9110 §8.8.1) over the events: equal when every one of them is. */
  readonly etag: string
}

/** The answer's bytes. The events are put in as they were prepared: no serializer touches what Kubiya said. */
export async function renderPage (
  question: PageQuery, window: TimeRange, page: Page, cursor: string | undefined, liveCursor: LogCursor | undefined
): Promise<RenderedBody> {
  const { filter, operation, prefix = '' } = question
  const [start, end] = [text(window.start), text(window.end)]
  const rest = {
    pagination: {
      page: question.page,
      page_size: question.pageSize,
      has_more: cursor !== undefined,
      next: cursor === undefined ? null : `${prefix}${PATHS[operation]}?cursor=${cursor}`,
      next_cursor: cursor ?? null,
      ...page.filteredLocally && { scanned: page.scanned, complete: page.complete },
      ...page.skipped.length > 0 && { skipped: page.skipped.map((each) => skippedInterval(each, window)) }
    },
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
  return writeItems(page.events.map(({ json }) => json), '{"items":[', `],${JSON.stringify(rest).slice(1)}`, prefix)
}

/** An answer of one event. */
export async function renderEvent (json: string): Promise<RenderedBody> {
  return writeItems([json], '', '', '')
}

/**
 * Joins texts between a head and a tail, in slices of time: ten megabytes take some hundred milliseconds. The validator
 * is over the links' prefix, too.
 */
async function writeItems (
  jsons: readonly string[],
  head: string,
  tail: string,
  prefix: string
): Promise<RenderedBody> {
  const hash = createHash('sha256').update(prefix)
  const commas = Math.max(0, jsons.length - 1)
  const length = jsons.reduce((sum, json) => sum + Buffer.byteLength(json), Buffer.byteLength(head + tail) + commas)
  const body = Buffer.allocUnsafeSlow(length) // Kept for long: a piece of a shared block would keep the block.
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
