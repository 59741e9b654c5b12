import type { Instant } from '../audit/instant.ts'
import { titleOf } from '../audit/narrative.ts'
import { bytesOf } from './dictionary.ts'
import type { IdKey } from './id-set.ts'

/** The bytes that the titles of one table may take. Further sessions have none. */
export const MOST_TITLE_BYTES = 16 * 1024 * 1024

const BYTES_OF_A_SIDE = 160 // The object, its instant, its key and the header of its text.

/** What a table holds of a session beside its rows. */
export interface SessionSide {
  /** The first message of a user, otherwise the first text: the start of it. */
  readonly title: string
  /** The event that the title comes from. */
  readonly position: Instant
  readonly key: IdKey
  readonly isUserMessage: boolean
}

/** By session code. `undefined`: no event of the session has a text. */
export type SessionSides = ReadonlyArray<SessionSide | undefined>

export type TitleSource = Omit<SessionSide, 'title'>

export interface SessionTitles {
  /** Offers the text of an event as the title of its session. The text is read only if it would become the title. */
  offer (session: number, source: TitleSource, readText: () => string): void
  /** The titles as they are now. Later offers do not change them. */
  snapshot (): SessionSides
  /** Moves titles to new session codes. Titles of sessions without a new code are dropped. */
  recode (codeOf: (session: number) => number | undefined): void
  bytes (): number
}

export function createSessionTitles (): SessionTitles {
  let sides: Array<SessionSide | undefined> = []
  let isShared = false // A snapshot has this list, so the next change needs a copy.
  let bytes = 0
  return { offer, snapshot, recode, bytes: () => bytes }

  function offer (session: number, source: TitleSource, readText: () => string): void {
    const known = sides[session]
    if (known !== undefined && !isBetter(source, known)) return
    const text = readText()
    if (text.trim() === '') return
    const side = { title: onePiece(titleOf(text)), ...source }
    const grown = bytes + weightOf(side) - weightOf(known)
    if (grown > MOST_TITLE_BYTES) return
    if (isShared) sides = sides.slice()
    isShared = false
    while (sides.length < session) sides.push(undefined)
    sides[session] = side
    bytes = grown
  }

  function snapshot (): SessionSides {
    isShared = true
    return sides
  }

  function recode (codeOf: (session: number) => number | undefined): void {
    const before = sides
    sides = []
    isShared = false
    bytes = 0
    before.forEach((side, session) => {
      const code = side === undefined ? undefined : codeOf(session)
      if (code === undefined) return
      while (sides.length <= code) sides.push(undefined)
      sides[code] = side
      bytes += weightOf(side)
    })
  }
}

/** A message of a user comes before other texts, then the earlier one before the later one. */
function isBetter (source: TitleSource, known: TitleSource): boolean {
  if (source.isUserMessage !== known.isUserMessage) return source.isUserMessage
  if (source.position !== known.position) return source.position < known.position
  const [a, b] = [source.key, known.key]
  return a.high === b.high ? a.low < b.low : a.high < b.high
}

/** V8 keeps the whole text that a part was cut from. This copy is one piece, also with lone surrogates. */
function onePiece (text: string): string {
  return String(JSON.parse(JSON.stringify(text)))
}

function weightOf (side: SessionSide | undefined): number {
  return side === undefined ? 0 : BYTES_OF_A_SIDE + bytesOf(side.title)
}
