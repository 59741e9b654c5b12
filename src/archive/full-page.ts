import type { AuditEvent } from '../audit/event.ts'
import { isJudgedHere } from '../audit/filter.ts'
import type { SortKey } from '../audit/sort-key.ts'
import type { AuditSource, Failure, Purpose } from '../audit/source.ts'
import { bisecting } from '../scan/bisection.ts'
import { pageCovering } from '../scan/page-run.ts'
import { scan } from '../scan/scanner.ts'
import { LARGEST, createPageBuilder, remaining, upstreamSize } from './keyset-page.ts'
import { readOffsetPage } from './offset-page.ts'
import type { AnswerSize, Page, PageRequest } from './page-query.ts'

/** What an answer needs of an event. */
export type Text = Pick<AuditEvent, 'json'>

/** As much of a page as was read: its first events, and where the rest begins. */
export interface PagePart extends Pick<Page<Text>, 'events' | 'skip' | 'scanned' | 'skipped'> {
  readonly next: SortKey
}

/** Why a page is not full. */
export type Stop =
  | Failure
  /** So many rows were read as one request may read. */
  | 'row-limit'
  /** The events of the page are larger than one answer may be. */
  | 'bytes'

export type FullPageResult =
  | { readonly kind: 'page', readonly page: Page<Text> }
  | { readonly kind: 'stopped', readonly stop: Stop, readonly part: PagePart | undefined }

export interface FullPageOptions extends AnswerSize {
  /** The most rows that are read before the reading stops. */
  readonly rowLimit: number
  /** The most rows that are read of an upstream that does not sort. */
  readonly scanLimit: number
  readonly purpose: Purpose
}

// The rows behind the first part show where its last instant ends.
const FIRST_PART_SHARE = 0.75

/**
 * Reads a page that is short only at the end of the range. It continues after `begun`, an earlier part. A page by
 * number begins with one read by number. The rest is a keyset scan, so that it neither repeats nor skips a row.
 */
export async function readFullPage (
  source: AuditSource,
  request: PageRequest,
  begun: PagePart | undefined,
  options: FullPageOptions
): Promise<FullPageResult> {
  let part = begun
  if (part === undefined && request.page > 1 && !isJudgedHere(request.filter)) {
    const result = await readFirstPart(source, request, options)
    if (result.kind === 'failed') return { kind: 'stopped', stop: result.failure, part }
    if (result.kind === 'page') {
      const { page } = result
      if (page.next === undefined || page.events.length === request.pageSize) return { kind: 'page', page }
      part = partOf(page)
    }
  }
  return readRest(source, request, part, options)
}

/** Reads the first rows of a numbered page, as many as one answer of Kubiya can hold. */
function readFirstPart (source: AuditSource, request: PageRequest, options: FullPageOptions) {
  const firstRow = (request.page - 1) * request.pageSize
  const { size: rows, start } = pageCovering(firstRow - 1, LARGEST)
  const certain = Math.max(1, Math.floor((start + rows - firstRow) * FIRST_PART_SHARE))
  const pageSize = Math.min(request.pageSize, certain)
  const upstreamRows = request.pageSize < LARGEST / 2 ? upstreamSize(request.pageSize) : LARGEST
  return readOffsetPage(source, { ...request, firstRow, pageSize }, upstreamRows, options.purpose, options)
}

async function readRest (
  source: AuditSource,
  request: PageRequest,
  begun: PagePart | undefined,
  { maxBytes, onHeld, purpose, rowLimit, scanLimit }: FullPageOptions
): Promise<FullPageResult> {
  const { direction, filter, pageSize } = request
  const rest: PageRequest = begun === undefined
    ? request
    : { ...request, after: begun.next, skip: begun.skip, pageSize: pageSize - begun.events.length }
  const begunBytes = bytesOf(begun)
  const builder = createPageBuilder(rest, maxBytes - begunBytes)
  const upstreamRows = isJudgedHere(filter) ? LARGEST : upstreamSize(builder.lastRow)
  const range = { filter, window: remaining(rest), direction, pageSize: upstreamRows, scanLimit, purpose }

  for await (const step of scan(bisecting(source), range)) {
    if (!step.ok) return stopped(step)
    builder.add(step)
    onHeld(begunBytes + builder.bytes())
    const page = builder.full()
    if (page !== undefined) return completed(joined(begun, page))
    if (builder.read() >= rowLimit && builder.part('final') !== undefined) return stopped('row-limit')
  }
  throw new Error('the scan ended without a last step')

  function completed (page: Page<Text>): FullPageResult {
    const isFull = page.next === undefined || page.events.length >= pageSize
    return isFull ? { kind: 'page', page } : { kind: 'stopped', stop: 'bytes', part: undefined }
  }

  function stopped (stop: Stop): FullPageResult {
    const page = builder.part('final')
    return { kind: 'stopped', stop, part: page === undefined ? begun : partOf(joined(begun, page)) }
  }
}

function joined (begun: PagePart | undefined, page: Page): Page<Text> {
  if (begun === undefined) return page
  return {
    ...page,
    events: [...begun.events, ...page.events],
    last: page.last ?? begun.next,
    scanned: begun.scanned + page.scanned,
    skipped: [...begun.skipped, ...page.skipped]
  }
}

/** Only what an answer is made of stays in memory. */
function partOf ({ events, next, scanned, skip, skipped }: Page<Text>): PagePart | undefined {
  return next && { events: events.map(({ json }) => ({ json })), next, scanned, skip, skipped }
}

export function bytesOf (part: PagePart | undefined): number {
  return part === undefined ? 0 : part.events.reduce((sum, { json }) => sum + json.length, 0)
}
