import { ExactNumber, scalarText, type Json, type JsonObject } from './exact-json.ts'
import { pauseIfDue } from './time-slice.ts'

const ASCII = /^[\0-\x7f]*$/
/** A run of combining marks. Normalization orders a run in quadratic time, so long runs are split. */
const LONG_RUN = /\p{M}{16}(?=\p{M})/gu
/** An invisible character that separates two runs of marks (Unicode's Stream-Safe Text Format, UAX #15 §13). */
const GRAPHEME_JOINER = '\u034f'
/** A text may be cut before any character that is not a combining mark, a vowel or final jamo, or a surrogate. */
const CUT = /[^\p{M}\u1160-\u11ff\ud800-\udfff]|\u034f/gu
const PIECE_CHARACTERS = 65_536
const MAX_CACHED_CHARACTERS = 8 * 1024 * 1024

/** A cache of folded texts in two generations. When the younger one is full, the older one is dropped. */
let young = new WeakMap<JsonObject, readonly string[]>()
let old = new WeakMap<JsonObject, readonly string[]>()
let youngCharacters = 0

/**
 * Folds texts that differ only in case or composition to one text. Upper case does not depend on neighbours (σ and ς),
 * and it expands ß. Lower case comes before it, because ẞ and ϴ reach that upper case only through lower case.
 */
export function fold (text: string): string {
  return ASCII.test(text) ? text.toUpperCase() : foldPiece(splitLongRuns(text))
}

/** Whether any value of an item, also a nested one, contains a folded text. Names of fields are not searched. */
export function containsText (item: JsonObject, folded: string): boolean {
  return (cached(item) ?? cache(item, valuesOf(item).map(fold))).some((text) => text.includes(folded))
}

/** Folds an item's long values ahead, in slices of time: megabytes would block the event loop for too long. */
export async function foldAhead (item: JsonObject): Promise<void> {
  const values = valuesOf(item)
  if (values.every(({ length }) => length <= PIECE_CHARACTERS) || cached(item) !== undefined) return
  const folded: string[] = []
  for (const value of values) {
    const pieces: string[] = []
    for (const piece of piecesOf(splitLongRuns(value))) {
      pieces.push(foldPiece(piece))
      await pauseIfDue()
    }
    folded.push(pieces.join(''))
  }
  cache(item, folded)
}

function foldPiece (text: string): string {
  return text.normalize('NFC').toLowerCase().toUpperCase().normalize('NFC')
}

function splitLongRuns (text: string): string {
  return text.replace(LONG_RUN, `$&${GRAPHEME_JOINER}`)
}

function * piecesOf (text: string): Generator<string, void, void> {
  for (let start = 0; start < text.length;) {
    CUT.lastIndex = start + PIECE_CHARACTERS
    const end = CUT.lastIndex < text.length ? CUT.exec(text)?.index ?? text.length : text.length
    yield text.slice(start, end)
    start = end
  }
}

/** All strings, numbers and booleans as text. Not recursive: deep nesting would exhaust the stack. */
function valuesOf (item: JsonObject): string[] {
  const texts: string[] = []
  const containers: Array<Json[] | JsonObject> = [item]
  for (let container = containers.pop(); container !== undefined; container = containers.pop()) {
    for (const value of Object.values(container) as Json[]) {
      const text = scalarText(value)
      if (text !== undefined) texts.push(text)
      else if (typeof value === 'object' && value !== null && !(value instanceof ExactNumber)) containers.push(value)
    }
  }
  return texts
}

function cached (item: JsonObject): readonly string[] | undefined {
  return young.get(item) ?? old.get(item)
}

function cache (item: JsonObject, folded: readonly string[]): readonly string[] {
  if (youngCharacters > MAX_CACHED_CHARACTERS) {
    old = young
    young = new WeakMap()
    youngCharacters = 0
  }
  young.set(item, folded)
  youngCharacters += folded.reduce((sum, { length }) => sum + length, 0)
  return folded
}
