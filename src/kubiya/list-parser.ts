import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { AuditEvent } from '../audit/event.ts'
import { numberDuplicates, type IdentifiedItem } from '../audit/event-id.ts'
import { objectSpans, type TextSpan } from '../audit/exact-json.ts'
import { flatText } from '../audit/exact-bytes.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import { isReadable, isReadableWhole, identifyElement, parseElement, readElements } from './response.ts'

export interface ParsedList {
  readonly events: AuditEvent[]
  /** Elements of the answer, those that are no events included. */
  readonly rows: number
  /** Of these, those that are no objects. */
  readonly noEvents: number
  /** For each event that is nested too deep or holds too much: how many of `events` stand before it. */
  readonly unreadable: readonly number[]
}

/**
 * Reads Kubiya's list answers; `undefined` for everything that is not the protocol, and for more rows than `mostRows`;
 * `too-large` for rows that can be read one by one, but hold more values together than memory should.
 */
export type ListParser = (body: string, mostRows: number) => Promise<ParsedList | 'too-large' | undefined>

interface Element extends TextSpan, Row {}

/** An element that was read: an event, none (`no-event`), or one that holds too much. */
interface Row {
  readonly identified: IdentifiedItem | 'no-event' | 'unreadable'
}

/** An answer whose elements were found in its text. */
interface Remembered {
  readonly body: string
  readonly elements: readonly Element[]
}

// Blanks as JSON has them (RFC 8259 §2), so that what is taken apart here is what a parser would take.
const OPENING = /^[ \t\n\r]*(?:\{[ \t\n\r]*"(?:items|data)"[ \t\n\r]*:[ \t\n\r]*)?\[[ \t\n\r]*/
const SEPARATOR = /[ \t\n\r]*,[ \t\n\r]*/y
const CLOSING_BRACKET = /[ \t\n\r]*\]/y
const BLANKS = /^[ \t\n\r]*$/
const LONGEST_TAIL = 65_536 // Characters behind the list: pagination and the like.
const MOST_REMEMBERED_BYTES = 16 * 1024 * 1024
// Full reads come every two minutes at most. What stayed longer came to 6 MB in twelve minutes, and on to the bound.
const REMEMBERED_MS = 5 * 60_000
const PURGE_MS = 30_000
const HELD_BYTES_PER_CHARACTER = 5 // The text itself, the event as published, its values: 7.5 MB of texts held 36 MB.
const HELD_BYTES_PER_VALUE = 100 // An array that holds one other.
const MOST_VALUES_OF_ROWS = 1_000_000 // 100 MB at most: ten thousand rows of a hundred values.
// V8 hashes longer strings by their length alone: looking one up among many costs what reading all of them does.
const LONGEST_KEY = 16_000

/**
 * Makes a reader of Kubiya's list answers: a bare array, `{items}` or `{data}`; `null` and `{items|data: null}` are
 * empty (docs/kubiya-api.md §2.1). It finds the elements in the text and reads one after the other, in slices of time,
 * so that no answer holds up the event loop. With `remembers` it is for answers that mostly repeat earlier ones, as a
 * poller's do: an element that is written just as it was is neither parsed nor identified again.
 */
export function createListParser ({ remembers }: { readonly remembers: boolean }): ListParser {
  const parsedElements = new LRUCache<string, Row>({
    maxSize: MOST_REMEMBERED_BYTES,
    ttl: REMEMBERED_MS, // Since it was met last.
    ttlResolution: 1000,
    updateAgeOnGet: true
  })
  let purgedMs = performance.now()
  let last: Remembered | undefined

  return async (body, mostRows) => {
    const elements = await splitElements(body, mostRows)
    if (elements === 'too-large') return elements
    last = remembers && elements !== undefined ? { body, elements } : undefined
    if (performance.now() - purgedMs > PURGE_MS) purge()
    return elements === undefined ? readWhole(body, mostRows) : listingOf(elements)
  }

  function purge (): void {
    parsedElements.purgeStale()
    purgedMs = performance.now()
  }

  /** `undefined` where the text is more or other than objects in one array. */
  async function splitElements (body: string, mostRows: number): Promise<Element[] | 'too-large' | undefined> {
    const opening = OPENING.exec(body)?.[0]
    if (opening === undefined) return undefined
    const elements = last === undefined ? [] : commonPrefix(body, opening.length, last)
    let end = elements.at(-1)?.end
    const spans = objectSpans(body, end ?? opening.length, mostRows) ?? []
    if (valuesIn(elements) + valuesIn(spans) > MOST_VALUES_OF_ROWS) return 'too-large'
    await pauseIfDue()
    for (const span of spans) {
      const isNext = end === undefined || endOf(SEPARATOR, body, end) === span.start
      const read = isNext ? await readAgain(body, span) : undefined
      if (read === undefined) return undefined
      elements.push({ ...span, ...read })
      ;({ end } = span)
      await pauseIfDue()
    }
    const closed = endOf(CLOSING_BRACKET, body, end ?? opening.length)
    if (closed === undefined || elements.length > mostRows) return undefined
    return isTail(body.slice(closed), opening.trimStart().startsWith('{')) ? elements : undefined
  }

  async function readAgain (body: string, span: TextSpan): Promise<Row | undefined> {
    if (!isReadable(span)) return { identified: 'unreadable' }
    const text = body.slice(span.start, span.end)
    if (!remembers) return readRow(text)
    const key = text.length > LONGEST_KEY ? createHash('sha256').update(text).digest('hex') : text
    const known = parsedElements.get(key)
    if (known !== undefined) return known
    const read = await readRow(text)
    // A slice would keep the whole answer in memory.
    if (read !== undefined) {
      parsedElements.set(flatText(key), read, {
        size: Math.max(text.length * HELD_BYTES_PER_CHARACTER, span.values * HELD_BYTES_PER_VALUE)
      })
    }
    return read
  }
}

/** Reads an answer of another form than objects in one array, where it holds no more than can be read at once. */
export async function readWhole (body: string, mostRows: number): Promise<ParsedList | undefined> {
  if (!isReadableWhole(body)) return undefined
  const elements = readElements(body)
  if (elements === undefined || elements.length > mostRows) return undefined
  const rows: Row[] = []
  for (const element of elements) {
    rows.push({ identified: identifyElement(element) ?? 'no-event' })
    await pauseIfDue()
  }
  return listingOf(rows)
}

/** How many values the rows hold that are read. */
function valuesIn (spans: readonly TextSpan[]): number {
  return spans.reduce((sum, span) => isReadable(span) ? sum + span.values : sum, 0)
}

/**
 * A large row is parsed in one turn of the event loop, and identified in another: each takes a tenth of a second for 8
 * MB.
 */
async function readRow (text: string): Promise<Row | undefined> {
  const element = parseElement(text)
  if (element === undefined) return undefined
  await pauseIfDue()
  return { identified: identifyElement(element) ?? 'no-event' }
}

/** Whether this is what may stand behind a list: nothing, or the rest of the object that holds it. */
function isTail (rest: string, isHeld: boolean): boolean {
  if (!isHeld) return BLANKS.test(rest)
  if (rest.length > LONGEST_TAIL) return false
  try {
    const { data, items } = JSON.parse(`{"items":[]${rest}`) as { data?: unknown, items?: unknown }
    return data === undefined && Array.isArray(items) && items.length === 0
  } catch {
    return false
  }
}

/**
 * The elements with which the answer before went on, and this one begins. Slices are compared faster than looked up.
 */
function commonPrefix (body: string, from: number, { body: before, elements }: Remembered): Element[] {
  const isAt = (at: number, { end, start }: Pick<TextSpan, 'start' | 'end'>) =>
    body.slice(at, at + end - start) === before.slice(start, end)
  const known: Element[] = []
  let at: number | undefined = from
  for (let index = elements.findIndex((element) => isAt(from, element)); index >= 0 && at !== undefined; index++) {
    const element = elements[index]
    if (element === undefined || !isAt(at, element)) break
    const end: number = at + element.end - element.start
    known.push({ ...element, start: at, end })
    at = endOf(SEPARATOR, body, end)
  }
  return known
}

/** Where what is expected at a place ends; `undefined` where it does not stand there. */
function endOf (expected: RegExp, text: string, at: number): number | undefined {
  expected.lastIndex = at
  return expected.test(text) ? expected.lastIndex : undefined
}

function listingOf (rows: readonly Row[]): ParsedList {
  const identifiedItems: IdentifiedItem[] = []
  const unreadable: number[] = []
  for (const { identified } of rows) {
    if (identified === 'unreadable') unreadable.push(identifiedItems.length)
    else if (identified !== 'no-event') identifiedItems.push(identified)
  }
  return {
    events: numberDuplicates(identifiedItems),
    rows: rows.length,
    noEvents: rows.length - identifiedItems.length - unreadable.length,
    unreadable
  }
}
