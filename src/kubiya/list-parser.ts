import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { AuditEvent } from '../audit/event.ts'
import { identifyItem, numberDuplicates, type IdentifiedItem } from '../audit/event-id.ts'
import { isJsonObject, objectSpans, type TextSpan } from '../audit/exact-json.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import type { Clock } from '../clock.ts'
import { isReadable, isReadableWhole, identifyElement, parseElement, readElements } from './response.ts'

export interface ParsedList {
  readonly events: AuditEvent[]
  /** Elements of the answer, including those that are no events. */
  readonly rows: number
  /** Elements that are no objects. */
  readonly noEvents: number
  /** For each event that is too deep or too large: how many of `events` stand before it. */
  readonly unreadable: readonly number[]
}

/**
 * Parses one list answer of Kubiya. `undefined`: the answer is not the protocol, or has more than `maxRows` rows.
 * `too-large`: each row can be read, but all of them together hold more values than the memory should.
 */
export type ListParser = (body: string, maxRows: number) => Promise<ParsedList | 'too-large' | undefined>

export interface ListParserOptions {
  /** For answers that mostly repeat earlier ones, as a poller's do. An unchanged element is not parsed again. */
  readonly remembers: boolean
  readonly clock: Pick<Clock, 'monotonicMs'>
}

/** One element: an event, something that is no event, or an event that holds too much. */
type Row = IdentifiedItem | 'no-event' | 'unreadable'

// Blanks as JSON has them (RFC 8259 §2), so that this splits exactly where a parser would.
const OPENING = /^[ \t\n\r]*(?:\{[ \t\n\r]*"(?:items|data)"[ \t\n\r]*:[ \t\n\r]*)?\[[ \t\n\r]*/
const SEPARATOR = /[ \t\n\r]*,[ \t\n\r]*/y
const CLOSING_BRACKET = /[ \t\n\r]*\]/y
const BLANKS = /^[ \t\n\r]*$/
// Shorter rows take a small part of a slice. A promise for each of them would cost more than the pauses are worth.
const LONG_ROW_CHARACTERS = 65_536
const MAX_TAIL_CHARACTERS = 65_536 // Behind the list: pagination and the like.
const MAX_REMEMBERED_BYTES = 16 * 1024 * 1024
// Full reads come every two minutes at most. Without this limit, 6 MB collected in twelve minutes, and more later.
const REMEMBERED_MS = 5 * 60_000
const PURGE_MS = 30_000
const HELD_BYTES_PER_CHARACTER = 5 // The published event and its values: 7.5 MB of texts held 36 MB.
const HELD_BYTES_PER_VALUE = 100 // An array that holds one other array.
const MAX_VALUES_OF_ROWS = 1_000_000 // 100 MB at most: ten thousand rows of a hundred values.

/**
 * Creates a parser of Kubiya's list answers: a bare array, `{items}` or `{data}`. `null` and `{items|data: null}` are
 * empty (docs/kubiya-api.md §2.1). It finds the elements in the text and reads them one by one, in slices of time, so
 * that no answer blocks the event loop.
 *
 * With `remembers`, it keeps each event by the SHA-256 of its text. A poll of 1 000 rows with 20 new ones then takes
 * 10 ms of CPU instead of 70 ms. Most of the rest is the canonical JSON behind a computed id.
 */
export function createListParser ({ clock, remembers }: ListParserOptions): ListParser {
  const known = new LRUCache<string, Row>({
    maxSize: MAX_REMEMBERED_BYTES,
    ttl: REMEMBERED_MS, // Since the last answer that held the element.
    ttlResolution: 1000,
    updateAgeOnGet: true
  })
  let purgedMs = clock.monotonicMs()

  return async (body, maxRows) => {
    if (clock.monotonicMs() - purgedMs > PURGE_MS) purge()
    const spans = splitElements(body, maxRows)
    if (spans === undefined) return readWhole(body, maxRows)
    if (valuesIn(spans) > MAX_VALUES_OF_ROWS) return 'too-large'
    const rows: Row[] = []
    await pauseIfDue()
    for (const span of spans) {
      const reading = readElement(body, span)
      const row = reading instanceof Promise ? await reading : reading
      if (row === undefined) return readWhole(body, maxRows)
      rows.push(row)
      const pause = pauseIfDue()
      if (pause !== undefined) await pause
    }
    return listOf(rows)
  }

  function purge (): void {
    known.purgeStale()
    purgedMs = clock.monotonicMs()
  }

  /** `undefined`: the element is not JSON. */
  function readElement (body: string, span: TextSpan): Row | undefined | Promise<Row | undefined> {
    if (!isReadable(span)) return 'unreadable'
    const text = body.slice(span.start, span.end)
    const read = text.length > LONG_ROW_CHARACTERS ? readLongRow : readRow
    return remembers ? remembered(text, span, read) : read(text)
  }

  async function remembered (
    text: string,
    { values }: TextSpan,
    read: typeof readRow | typeof readLongRow
  ): Promise<Row | undefined> {
    const key = hash('sha256', text, 'base64')
    const before = known.get(key)
    if (before !== undefined) return before
    const row = await read(text)
    if (row !== undefined) {
      known.set(key, row, { size: Math.max(text.length * HELD_BYTES_PER_CHARACTER, values * HELD_BYTES_PER_VALUE) })
    }
    return row
  }
}

/** Finds the elements of an answer in its text. `undefined`: it is more or other than objects in one array. */
function splitElements (body: string, maxRows: number): TextSpan[] | undefined {
  const opening = OPENING.exec(body)?.[0]
  if (opening === undefined) return undefined
  const spans = objectSpans(body, opening.length, maxRows) ?? []
  let end: number | undefined
  for (const span of spans) {
    if (end !== undefined && endOf(SEPARATOR, body, end) !== span.start) return undefined
    ;({ end } = span)
  }
  const closed = endOf(CLOSING_BRACKET, body, end ?? opening.length)
  if (closed === undefined) return undefined
  return isTail(body.slice(closed), opening.trimStart().startsWith('{')) ? spans : undefined
}

/** Reads an answer in any other form, where it holds no more than can be read in one piece. */
export async function readWhole (body: string, maxRows: number): Promise<ParsedList | undefined> {
  if (!isReadableWhole(body)) return undefined
  const elements = readElements(body)
  if (elements === undefined || elements.length > maxRows) return undefined
  const rows: Row[] = []
  for (const element of elements) {
    rows.push(await identifyElement(element) ?? 'no-event')
    await pauseIfDue()
  }
  return listOf(rows)
}

/** How many values the readable rows hold. */
function valuesIn (spans: readonly TextSpan[]): number {
  return spans.reduce((sum, span) => isReadable(span) ? sum + span.values : sum, 0)
}

/** Parses and identifies a row. `undefined`: it is not JSON. */
function readRow (text: string): Row | undefined {
  const element = parseElement(text)
  if (element === undefined) return undefined
  return isJsonObject(element) ? identifyItem(element) : 'no-event'
}

/** The same in three turns of the event loop: each takes a tenth of a second or more for 8 MB. */
async function readLongRow (text: string): Promise<Row | undefined> {
  const element = parseElement(text)
  if (element === undefined) return undefined
  await pauseIfDue()
  return await identifyElement(element) ?? 'no-event'
}

/** Whether this text may stand behind a list: nothing, or the rest of the object that holds the list. */
function isTail (rest: string, isInObject: boolean): boolean {
  if (!isInObject) return BLANKS.test(rest)
  if (rest.length > MAX_TAIL_CHARACTERS) return false
  try {
    const { data, items } = JSON.parse(`{"items":[]${rest}`) as { data?: unknown, items?: unknown }
    return data === undefined && Array.isArray(items) && items.length === 0
  } catch {
    return false
  }
}

/** The end of the expected text at a position; `undefined`: the text is not there. */
function endOf (expected: RegExp, text: string, at: number): number | undefined {
  expected.lastIndex = at
  return expected.test(text) ? expected.lastIndex : undefined
}

function listOf (rows: readonly Row[]): ParsedList {
  const items: IdentifiedItem[] = []
  const unreadable: number[] = []
  for (const row of rows) {
    if (row === 'unreadable') unreadable.push(items.length)
    else if (row !== 'no-event') items.push(row)
  }
  return {
    events: numberDuplicates(items),
    rows: rows.length,
    noEvents: rows.length - items.length - unreadable.length,
    unreadable
  }
}
