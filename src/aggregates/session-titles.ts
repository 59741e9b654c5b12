import { NANOS_PER_SECOND, floorToSecond, type Instant } from '../audit/instant.ts'
import { titleOf } from '../audit/narrative.ts'
import { bytesOf } from './dictionary.ts'
import type { IdKey } from './id-set.ts'

/** The bytes that the titles of one table may take. Further sessions have none. */
export const MOST_TITLE_BYTES = 16 * 1024 * 1024

const FEWEST_SESSIONS = 256
const BYTES_OF_A_TEXT = 24 // Its header and its place in the list.
const BYTES_OF_A_SOURCE = 23

/** What a table holds of a session beside its rows. */
export interface SessionSide {
  /** The first message of a user, otherwise the first text: the start of it. */
  readonly title: string
  /** The event that the title comes from. */
  readonly position: Instant
  readonly key: IdKey
  readonly isUserMessage: boolean
}

/** The titles at one moment. */
export interface SessionSides {
  /** `undefined`: no event of the session has a text. */
  sideOf (session: number): SessionSide | undefined
}

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

/** The titles by session code, and their events in typed arrays: objects would take seven times as much. */
interface Columns {
  readonly titles: Array<string | undefined>
  readonly seconds: Float64Array
  readonly nanos: Uint32Array
  readonly keys: Uint32Array
  readonly isUserMessage: Uint8Array
  /** The bytes that each title takes. */
  readonly weights: Uint16Array
}

export function createSessionTitles (): SessionTitles {
  let columns = createColumns(FEWEST_SESSIONS)
  let isShared = false // A snapshot has these columns, so the next change needs copies.
  let textBytes = 0
  return { offer, snapshot, recode, bytes: () => textBytes + columns.seconds.length * BYTES_OF_A_SOURCE }

  function offer (session: number, source: TitleSource, readText: () => string): void {
    const known = sideIn(columns, session)
    if (known !== undefined && !isBetterTitle(source, known)) return
    const text = readText()
    if (text.trim() !== '') put(session, { ...source, title: onePiece(titleOf(text)) })
  }

  function put (session: number, side: SessionSide): void {
    const grown = textBytes + weightOf(side.title) - (columns.weights[session] ?? 0)
    const { length } = columns.seconds
    const needed = session < length ? length : Math.max(2 * length, session + 1)
    if (grown + needed * BYTES_OF_A_SOURCE > MOST_TITLE_BYTES) return
    if (isShared || needed > length) columns = copyOf(columns, needed)
    isShared = false
    textBytes = grown
    write(columns, session, side)
  }

  function snapshot (): SessionSides {
    isShared = true
    const shared = columns
    return { sideOf: (session) => sideIn(shared, session) }
  }

  function recode (codeOf: (session: number) => number | undefined): void {
    const before = columns
    const codes = before.titles.map((title, session) => title === undefined ? undefined : codeOf(session))
    const most = codes.reduce<number>((greatest, code) => Math.max(greatest, code ?? 0), 0)
    columns = createColumns(Math.max(FEWEST_SESSIONS, most + 1))
    isShared = false
    textBytes = 0
    for (let code = 0; code <= most; code++) columns.titles.push(undefined)
    codes.forEach((code, session) => {
      if (code === undefined) return
      move(before, session, columns, code)
      textBytes += columns.weights[code] ?? 0
    })
  }
}

function createColumns (capacity: number): Columns {
  return {
    titles: [],
    seconds: new Float64Array(capacity),
    nanos: new Uint32Array(capacity),
    keys: new Uint32Array(2 * capacity),
    isUserMessage: new Uint8Array(capacity),
    weights: new Uint16Array(capacity)
  }
}

function copyOf (columns: Columns, capacity: number): Columns {
  const copy = { ...createColumns(capacity), titles: columns.titles.slice() }
  copy.seconds.set(columns.seconds)
  copy.nanos.set(columns.nanos)
  copy.keys.set(columns.keys)
  copy.isUserMessage.set(columns.isUserMessage)
  copy.weights.set(columns.weights)
  return copy
}

function write (columns: Columns, session: number, side: SessionSide): void {
  const { isUserMessage, keys, nanos, seconds, titles, weights } = columns
  while (titles.length < session) titles.push(undefined)
  const second = floorToSecond(side.position)
  titles[session] = side.title
  seconds[session] = Number(second / NANOS_PER_SECOND)
  nanos[session] = Number(side.position - second)
  keys[2 * session] = side.key.high
  keys[2 * session + 1] = side.key.low
  isUserMessage[session] = side.isUserMessage ? 1 : 0
  weights[session] = weightOf(side.title)
}

function move (from: Columns, session: number, to: Columns, code: number): void {
  to.titles[code] = from.titles[session]
  to.seconds[code] = from.seconds[session] ?? 0
  to.nanos[code] = from.nanos[session] ?? 0
  to.keys[2 * code] = from.keys[2 * session] ?? 0
  to.keys[2 * code + 1] = from.keys[2 * session + 1] ?? 0
  to.isUserMessage[code] = from.isUserMessage[session] ?? 0
  to.weights[code] = from.weights[session] ?? 0
}

function sideIn ({ isUserMessage, keys, nanos, seconds, titles }: Columns, session: number): SessionSide | undefined {
  const title = titles[session]
  if (title === undefined) return undefined
  return {
    title,
    position: BigInt(seconds[session] ?? 0) * NANOS_PER_SECOND + BigInt(nanos[session] ?? 0),
    key: { high: keys[2 * session] ?? 0, low: keys[2 * session + 1] ?? 0 },
    isUserMessage: isUserMessage[session] === 1
  }
}

/** A message of a user comes before other texts, then the earlier one before the later one. */
export function isBetterTitle (source: TitleSource, known: TitleSource): boolean {
  if (source.isUserMessage !== known.isUserMessage) return source.isUserMessage
  if (source.position !== known.position) return source.position < known.position
  const [a, b] = [source.key, known.key]
  return a.high === b.high ? a.low < b.low : a.high < b.high
}

/** V8 keeps the whole text that a part was cut from. This copy is one piece, also with lone surrogates. */
function onePiece (text: string): string {
  return String(JSON.parse(JSON.stringify(text)))
}

function weightOf (title: string): number {
  return BYTES_OF_A_TEXT + bytesOf(title)
}
