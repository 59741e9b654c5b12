import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { AuditEvent } from '../audit/event.ts'
import { tellApart, type Nature } from '../audit/identity.ts'
import { objectsIn, type Span } from '../audit/json.ts'
import { natureOfElement, readElement, readElements, type ReadElement } from './wire.ts'

export interface Listing {
  readonly events: AuditEvent[]
  /** Elements of the answer, those that are no events included. */
  readonly rows: number
}

/**
 * Kubiya's list answer as events: a bare array, `{items}` or `{data}`; `null` and `{items|data: null}` are empty
 * (facts 2.1). An element that is no object, or is nested beyond all reason, is passed by and counted. `undefined` for
 * everything that is not the protocol: no text at all, truncated JSON, HTML, objects of another kind.
 */
export function readListing (body: string): Listing | undefined {
  const elements = readElements(body)
  return elements === undefined ? undefined : listingOf(elements.map(natureOfElement))
}

interface Element extends Span {
  readonly nature: Nature | undefined
}

/** An answer whose elements were found in its text. */
interface Remembered {
  readonly body: string
  readonly elements: readonly Element[]
}

// Blanks as JSON has them (RFC 8259 §2), so that what is taken apart here is what a parser would take.
const OPENING = /^[ \t\n\r]*(?:\{[ \t\n\r]*"(?:items|data)"[ \t\n\r]*:[ \t\n\r]*)?\[[ \t\n\r]*/
const CLOSING = /[ \t\n\r]*\][ \t\n\r]*(\}?)[ \t\n\r]*$/y
const SEPARATOR = /[ \t\n\r]*,[ \t\n\r]*/y
const LONGEST_TAKEN_APART = 4 * 1024 * 1024 // Characters.
const MOST_REMEMBERED = 8 * 1024 * 1024
const LONGEST_KEY = 16_000 // V8 hashes longer strings by their length alone: looking one up among many costs what reading all of them does.

/**
 * Reads like `readListing`, for answers that mostly repeat earlier ones, as a poller's do: an element that is written just as
 * it was is neither parsed nor identified again. Text by text, or by SHA-256 where it is long, so it is the same event without doubt.
 */
export function createListingReader (): (body: string) => Listing | undefined {
  const met = new LRUCache<string, ReadElement>({ maxSize: MOST_REMEMBERED })
  let last: Remembered | undefined

  return (body) => {
    const elements = body.length > LONGEST_TAKEN_APART ? undefined : takeApart(body)
    last = elements && { body, elements }
    return elements === undefined ? readListing(body) : listingOf(elements.map(({ nature }) => nature))
  }

  /** `undefined` where the text is more or other than objects in one array. */
  function takeApart (body: string): Element[] | undefined {
    const opening = OPENING.exec(body)?.[0]
    if (opening === undefined) return undefined
    const elements = last === undefined ? [] : repeated(body, opening.length, last)
    let end = elements.at(-1)?.end
    for (const span of objectsIn(body, end ?? opening.length) ?? []) {
      const read = end === undefined || endOf(SEPARATOR, body, end) === span.start ? readAgain(body.slice(span.start, span.end)) : undefined
      if (read === undefined) return undefined
      elements.push({ ...span, ...read })
      ;({ end } = span)
    }
    CLOSING.lastIndex = end ?? opening.length
    const brace = CLOSING.exec(body)?.[1]
    return brace === (opening.trimStart().startsWith('{') ? '}' : '') ? elements : undefined
  }

  function readAgain (text: string): ReadElement | undefined {
    const key = text.length > LONGEST_KEY ? createHash('sha256').update(text).digest('hex') : text
    const known = met.get(key)
    if (known !== undefined) return known
    const read = readElement(text)
    if (read !== undefined) met.set(Buffer.from(key).toString(), read, { size: text.length }) // A slice would keep the whole answer in memory.
    return read
  }
}

/** The elements with which the answer before went on, and this one begins. Slices are compared faster than looked up. */
function repeated (body: string, from: number, { body: before, elements }: Remembered): Element[] {
  const isAt = (at: number, { end, start }: Span) => body.slice(at, at + end - start) === before.slice(start, end)
  const known: Element[] = []
  let at: number | undefined = from
  for (let index = elements.findIndex((element) => isAt(from, element)); index >= 0 && at !== undefined; index++) {
    const element = elements[index]
    if (element === undefined || !isAt(at, element)) break
    const end: number = at + element.end - element.start
    known.push({ start: at, end, nature: element.nature })
    at = endOf(SEPARATOR, body, end)
  }
  return known
}

/** Where what is expected at a place ends; `undefined` where it does not stand there. */
function endOf (expected: RegExp, text: string, at: number): number | undefined {
  expected.lastIndex = at
  return expected.test(text) ? expected.lastIndex : undefined
}

function listingOf (natures: ReadonlyArray<Nature | undefined>): Listing {
  return { events: tellApart(natures.filter((nature) => nature !== undefined)), rows: natures.length }
}
