import { ExactNumber, scalarText, type Json, type JsonObject } from './exact-json.ts'
import { pauseIfDue } from './time-slice.ts'

const ASCII = /^[\0-\x7f]*$/
/** Marks that follow each other. The order of such a run is found in quadratic time, so longer runs are parted. */
const LONG_RUN = /\p{M}{16}(?=\p{M})/gu
/** Has no glyph and joins nothing (Unicode's Stream-Safe Text Format, UAX #15 §13). */
const GRAPHEME_JOINER = '\u034f'
/** Where a text may be cut: before what is neither half a character nor joins what is before it. */
const CUT = /[^\p{M}\u1160-\u11ff\ud800-\udfff]|\u034f/gu
const PIECE_CHARACTERS = 65_536
const MOST_KEPT_CHARACTERS = 8 * 1024 * 1024

/** What is folded is kept, in two generations: the older one is forgotten when the younger one is full. */
let young = new WeakMap<JsonObject, readonly string[]>()
let old = new WeakMap<JsonObject, readonly string[]>()
let youngCharacters = 0

/**
 * One spelling for what differs in case or composition only. Upper case, because unlike lower case it does not depend
 * on the neighbours (σ and ς) and unfolds ß; lower case before it, for what has no other way there (ẞ, ϴ).
 */
export function fold (text: string): string {
  return ASCII.test(text) ? text.toUpperCase() : foldPiece(parted(text))
}

/** Whether any value of an item, nested ones too, holds a folded text. Names of fields do not count. */
export function holdsText (item: JsonObject, folded: string): boolean {
  return (kept(item) ?? keep(item, valuesOf(item).map(fold))).some((text) => text.includes(folded))
}

/**
 * Folds an item's values ahead, in slices of time where they are long: megabytes take longer than the event loop may
 * stand.
 */
export async function foldAhead (item: JsonObject): Promise<void> {
  const values = valuesOf(item)
  if (values.every(({ length }) => length <= PIECE_CHARACTERS) || kept(item) !== undefined) return
  const folded: string[] = []
  for (const value of values) {
    const pieces: string[] = []
    for (const piece of piecesOf(parted(value))) {
      pieces.push(foldPiece(piece))
      await pauseIfDue()
    }
    folded.push(pieces.join(''))
  }
  keep(item, folded)
}

function foldPiece (text: string): string {
  return text.normalize('NFC').toLowerCase().toUpperCase().normalize('NFC')
}

function parted (text: string): string {
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

/** Strings, numbers and booleans. Not by recursion: an item may be nested deeper than the stack reaches. */
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

function kept (item: JsonObject): readonly string[] | undefined {
  return young.get(item) ?? old.get(item)
}

function keep (item: JsonObject, folded: readonly string[]): readonly string[] {
  if (youngCharacters > MOST_KEPT_CHARACTERS) {
    old = young
    young = new WeakMap()
    youngCharacters = 0
  }
  young.set(item, folded)
  youngCharacters += folded.reduce((sum, { length }) => sum + length, 0)
  return folded
}
