import type { AuditFilter } from '../audit/filter.ts'
import { NANOS_PER_SECOND } from '../audit/instant.ts'
import type { Chunk } from './chunk.ts'
import { FAILED, SUCCESS } from './columns.ts'
import { FIRST_CODE, OTHER } from './dictionary.ts'
import type { TablePart } from './event-table.ts'
import { selectRows } from './selection.ts'
import { instantOf, keepEarlier, keepLater, statusAt, type RowPlace } from './session-rows.ts'

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
  readonly sessions: readonly SessionTotals[]
  /** Matching events of no session, and of sessions that a dictionary does not hold. */
  readonly unassigned: number
  /** Whether a session may be missing, because a dictionary holds no more texts. */
  readonly isCapped: boolean
}

/** Counts the sessions of all parts. One session in two parts is one session. */
export async function totalSessions (parts: readonly TablePart[], filter: AuditFilter): Promise<AllSessionTotals> {
  const isUnfiltered = Object.values(filter).every((value) => value === undefined)
  const sessions = new Map<string, SessionTotals>()
  let unassigned = 0
  let isCapped = false
  for (const part of parts) await addPart(part)
  return { sessions: [...sessions.values()], unassigned, isCapped }

  async function addPart (part: TablePart): Promise<void> {
    const { session: dictionary } = part.snapshot.dictionaries
    const byCode: Array<SessionTotals | undefined> = []
    await selectRows(part, {}, (chunk, { count: rows, indices }) => {
      for (let at = 0; at < rows; at++) {
        const row = indices[at] ?? 0
        const code = chunk.codes.session[row] ?? 0
        if (code >= FIRST_CODE) count((byCode[code] ??= sessionOf(dictionary.textOf(code) ?? '')), chunk, row)
        if (isUnfiltered) match(code, byCode[code])
      }
    })
    if (isUnfiltered) return
    const isExact = await selectRows(part, filter, ({ codes }, { count: rows, indices }) => {
      for (let at = 0; at < rows; at++) {
        const code = codes.session[indices[at] ?? 0] ?? 0
        match(code, byCode[code])
      }
    })
    isCapped ||= !isExact
  }

  function match (code: number, session: SessionTotals | undefined): void {
    if (session !== undefined) session.isMatched = true
    else unassigned++
    isCapped ||= code === OTHER
  }

  function sessionOf (id: string): SessionTotals {
    const known = sessions.get(id)
    if (known !== undefined) return known
    const places = { first: noPlace(), last: noPlace(), decisive: noPlace() }
    const session = { id, events: 0, success: 0, failed: 0, isMatched: false, ...places }
    sessions.set(id, session)
    return session
  }
}

/** From the first event to the last one, in nanoseconds. `undefined`: no event of the session has an instant. */
export function durationOf ({ first, last }: SessionTotals): bigint | undefined {
  const [start, end] = [instantOf(first), instantOf(last)]
  return start === undefined || end === undefined ? undefined : end - start
}

export function toSeconds (nanos: bigint): number {
  return Number(nanos) / Number(NANOS_PER_SECOND)
}

function count (session: SessionTotals, chunk: Chunk, row: number): void {
  session.events++
  keepEarlier(session.first, chunk, row)
  keepLater(session.last, chunk, row)
  const status = statusAt(chunk, row)
  if (status === SUCCESS) session.success++
  if (status === FAILED) session.failed++
  if (status === SUCCESS || status === FAILED) keepLater(session.decisive, chunk, row)
}

function noPlace (): RowPlace {
  return { chunk: undefined, row: 0 }
}
