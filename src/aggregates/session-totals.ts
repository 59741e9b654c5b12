import type { AuditFilter } from '../audit/filter.ts'
import { NANOS_PER_SECOND } from '../audit/instant.ts'
import { MOST_CHUNK_ROWS, type Chunk } from './chunk.ts'
import { FAILED, SUCCESS } from './columns.ts'
import { FIRST_CODE, OTHER, type Dictionary } from './dictionary.ts'
import type { TablePart, TableSnapshot } from './event-table.ts'
import { eachValue, textOfCodes } from './joined-values.ts'
import { selectRows, type SelectedRows } from './selection.ts'
import { instantOf, isEarlierRow, isLaterRow, statusAt, type RowPlace } from './session-rows.ts'

/** The basic figures of one session. */
export interface SessionTotals {
  readonly id: string
  events: number
  success: number
  failed: number
  /** Whether an event of the session matches the filter. */
  isMatched: boolean
  readonly first: RowPlace
  readonly last: RowPlace
  /** The newest event that succeeded or failed. */
  readonly decisive: RowPlace
}

export interface AllSessionTotals {
  /** Visits each session once, in slices of time. Its figures are made for this visit. */
  readonly each: (visit: (session: SessionTotals) => void) => Promise<void>
  /** Matching events of no session, and of sessions that a dictionary does not hold. */
  readonly unassigned: number
  /** Whether a session may be missing, because a dictionary holds no more texts. */
  readonly isCapped: boolean
}

/** Counts the sessions of all parts. One session in two parts is one session. */
export async function totalSessions (parts: readonly TablePart[], filter: AuditFilter): Promise<AllSessionTotals> {
  const isUnfiltered = Object.values(filter).every((value) => value === undefined)
  const totals: PartTotals[] = []
  let unassigned = 0
  let isCapped = false
  for (const part of parts) await addPart(part)
  const dictionaries = totals.map(({ dictionary }) => dictionary)
  return { each, unassigned, isCapped }

  async function addPart (part: TablePart): Promise<void> {
    const ofPart = createPartTotals(part.snapshot)
    totals.push(ofPart)
    await selectRows(part, {}, (chunk, selected) => {
      ofPart.count(chunk, selected)
      if (isUnfiltered) match(ofPart, chunk, selected)
    })
    if (isUnfiltered) return
    const isExact = await selectRows(part, filter, (chunk, selected) => match(ofPart, chunk, selected))
    isCapped ||= !isExact
  }

  function match ({ matched }: PartTotals, { codes }: Chunk, { count, indices }: SelectedRows): void {
    for (let at = 0; at < count; at++) {
      const code = codes.session[indices[at] ?? 0] ?? 0
      if (code >= FIRST_CODE) matched[code] = 1
      else unassigned++
      isCapped ||= code === OTHER
    }
  }

  async function each (visit: (session: SessionTotals) => void): Promise<void> {
    await eachValue(dictionaries, (codes) => {
      const places = { first: noPlace(), last: noPlace(), decisive: noPlace() }
      const session = { id: textOfCodes(dictionaries, codes), events: 0, success: 0, failed: 0, isMatched: false, ...places }
      for (let place = 0; place < totals.length; place++) {
        const code = codes[place]
        if (code !== undefined) totals[place]?.addTo(session, code)
      }
      if (session.events > 0) visit(session)
    })
  }
}

/** The figures of the sessions of one part, by code. Objects would take ten times as much. */
interface PartTotals {
  readonly dictionary: Dictionary
  /** One for each session with a matching event. */
  readonly matched: Uint8Array
  count (chunk: Chunk, selected: SelectedRows): void
  /** Adds the figures of one session. */
  addTo (session: SessionTotals, code: number): void
}

function createPartTotals ({ dictionaries: { session: dictionary } }: TableSnapshot): PartTotals {
  const { size } = dictionary
  const [events, success, failed] = [new Uint32Array(size), new Uint32Array(size), new Uint32Array(size)]
  const matched = new Uint8Array(size)
  // Rows: the number of the chunk among those that were visited, the row in it, and one. Zero: there is none.
  const [first, last, decisive] = [new Uint32Array(size), new Uint32Array(size), new Uint32Array(size)]
  const chunks: Chunk[] = []
  return { dictionary, matched, count, addTo }

  function count (chunk: Chunk, { count, indices }: SelectedRows): void {
    const start = MOST_CHUNK_ROWS * (chunks.push(chunk) - 1) + 1
    for (let at = 0; at < count; at++) {
      const row = indices[at] ?? 0
      const code = chunk.codes.session[row] ?? 0
      if (code < FIRST_CODE) continue
      const status = statusAt(chunk, row)
      increment(events, code)
      if (isBetter(first[code], chunk, row, isEarlierRow)) first[code] = start + row
      if (isBetter(last[code], chunk, row, isLaterRow)) last[code] = start + row
      if (status !== SUCCESS && status !== FAILED) continue
      increment(status === SUCCESS ? success : failed, code)
      if (isBetter(decisive[code], chunk, row, isLaterRow)) decisive[code] = start + row
    }
  }

  function isBetter (known = 0, chunk: Chunk, row: number, isBefore: typeof isEarlierRow): boolean {
    const other = chunks[Math.floor((known - 1) / MOST_CHUNK_ROWS)]
    return other === undefined || isBefore(chunk, row, other, (known - 1) % MOST_CHUNK_ROWS)
  }

  function addTo (session: SessionTotals, code: number): void {
    session.events += events[code] ?? 0
    session.success += success[code] ?? 0
    session.failed += failed[code] ?? 0
    session.isMatched ||= matched[code] === 1
    keep(session.first, first[code], isEarlierRow)
    keep(session.last, last[code], isLaterRow)
    keep(session.decisive, decisive[code], isLaterRow)
  }

  function keep (place: RowPlace, known = 0, isBefore: typeof isEarlierRow): void {
    const chunk = chunks[Math.floor((known - 1) / MOST_CHUNK_ROWS)]
    if (chunk === undefined) return
    const row = (known - 1) % MOST_CHUNK_ROWS
    if (place.chunk !== undefined && !isBefore(chunk, row, place.chunk, place.row)) return
    place.chunk = chunk
    place.row = row
  }
}

function increment (counts: Uint32Array, place: number): void {
  counts[place] = (counts[place] ?? 0) + 1
}

/** From the first event to the last one, in nanoseconds. `undefined`: no event of the session has an instant. */
export function durationOf ({ first, last }: SessionTotals): bigint | undefined {
  const [start, end] = [instantOf(first), instantOf(last)]
  return start === undefined || end === undefined ? undefined : end - start
}

export function toSeconds (nanos: bigint): number {
  return Number(nanos) / Number(NANOS_PER_SECOND)
}

function noPlace (): RowPlace {
  return { chunk: undefined, row: 0 }
}
