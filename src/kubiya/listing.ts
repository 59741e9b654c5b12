import type { AuditEvent } from '../audit/event.ts'
import { tellApart, type Nature } from '../audit/identity.ts'
import { objectsIn, type Span } from '../audit/json.ts'
import { natureOfElement, readElements } from './wire.ts'

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

const OPENING = /^\s*(?:\{\s*"(?:items|data)"\s*:\s*)?\[\s*/
const CLOSING = /\s*\]\s*\}?\s*$/y
const SEPARATOR = /\s*,\s*/y
const STAND_IN = '0'
const MOST_REMEMBERED = 4 * 1024 * 1024 // Characters.

/**
 * Reads like `readListing`, for answers that mostly repeat the one before, as a poller's do: what is written just as it
 * was then is neither parsed nor identified again. Text by text, so it is the same event without doubt.
 */
export function createListingReader (): (body: string) => Listing | undefined {
  let last: Remembered | undefined

  return (body) => {
    const opening = OPENING.exec(body)?.[0]
    const known = last === undefined || opening === undefined ? [] : repeated(body, opening.length, last)
    last = undefined
    if (opening === undefined || body.length > MOST_REMEMBERED) return readListing(body)
    const from = known.at(-1)?.end ?? opening.length
    // Something stands for what is known, so that the rest is well-formed only if the whole is.
    const elements = readElements(opening + (known.length > 0 ? STAND_IN : '') + body.slice(from))
    if (elements === undefined || (known.length > 0 && elements.shift() !== Number(STAND_IN))) return readListing(body)
    const natures = elements.map(natureOfElement)
    last = remember(body, known, objectsIn(body, from), natures)
    return listingOf([...known.map(({ nature }) => nature), ...natures])
  }
}

/** The elements with which the answer before went on, and this one begins. */
function repeated (body: string, from: number, { body: before, elements }: Remembered): Element[] {
  // Two slices are compared many times as fast as `startsWith` does it.
  const isAt = (at: number, { end, start }: Span) => body.slice(at, at + end - start) === before.slice(start, end)
  const known: Element[] = []
  let at = from
  for (let index = elements.findIndex((element) => isAt(from, element)); index >= 0; index++) {
    const element = elements[index]
    if (element === undefined || !isAt(at, element)) break
    SEPARATOR.lastIndex = at + element.end - element.start
    known.push({ start: at, end: SEPARATOR.lastIndex, nature: element.nature })
    if (!SEPARATOR.test(body)) break
    at = SEPARATOR.lastIndex
  }
  return known
}

/** `undefined` where the text holds more than objects in one array: then it is read whole the next time. */
function remember (body: string, known: readonly Element[], spans: readonly Span[] | undefined, natures: ReadonlyArray<Nature | undefined>): Remembered | undefined {
  if (spans === undefined || spans.length !== natures.length) return undefined
  const elements = [...known, ...spans.map((span, index) => ({ ...span, nature: natures[index] }))]
  CLOSING.lastIndex = elements.at(-1)?.end ?? body.length
  return CLOSING.test(body) ? { body, elements } : undefined
}

function listingOf (natures: ReadonlyArray<Nature | undefined>): Listing {
  return { events: tellApart(natures.filter((nature) => nature !== undefined)), rows: natures.length }
}
