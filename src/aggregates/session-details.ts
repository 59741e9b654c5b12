import { minInstant, type Instant } from '../audit/instant.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import type { Chunk } from './chunk.ts'
import { FAILED, type DictionaryColumn } from './columns.ts'
import type { TablePart } from './event-table.ts'
import { createRanking } from './ranking.ts'
import { selectRows } from './selection.ts'
import { isUserMessageAt, statusAt, type RowPlace } from './session-rows.ts'
import { isBetterTitle, type SessionSide } from './session-titles.ts'
import type { SessionTotals } from './session-totals.ts'

/** The maximum of values in each list of a session. Values with fewer events are left out. */
export const MOST_LISTED = 100
const VALUES_BETWEEN_PAUSES = 1000

export interface SessionDetails {
  readonly users: ReadonlyArray<{ readonly email: string, readonly events: number, readonly messages: number }>
  readonly agents: ReadonlyArray<{ readonly name: string, readonly events: number }>
  readonly tools: ReadonlyArray<{ readonly name: string, readonly events: number, readonly failed: number }>
  readonly categories: ReadonlyArray<{ readonly value: string, readonly events: number }>
  /** Names the session, not the window: its event may lie outside the windows. */
  readonly title: string | null
  /** The category of the first event. */
  readonly firstCategory: string
  /** Whether the table has an event of the session from before the windows. */
  readonly hasEarlier: boolean
}

/** How often a value occurs in a session, and how often with the property that ranks or marks it. */
interface Count {
  readonly value: string
  events: number
  marked: number
}

type Counts = Map<string, Count>

interface Draft {
  readonly first: RowPlace
  readonly users: Counts
  readonly agents: Counts
  readonly tools: Counts
  readonly categories: Counts
  firstCategory: string
  side: SessionSide | undefined
  hasEarlier: boolean
}

/** Details of a few sessions, in the order of the sessions. They need one more pass over all rows. */
export async function detailSessions (
  parts: readonly TablePart[],
  sessions: readonly SessionTotals[]
): Promise<SessionDetails[]> {
  const drafts = new Map(sessions.map(({ first, id }) => [id, newDraft(first)]))
  const start = earliestStart(parts)
  for (const part of parts) {
    const draftOf = draftsByCode(part, drafts)
    await eachRow(part, draftOf, (draft, chunk, row) => addRow(draft, part, chunk, row))
    if (start === undefined) continue
    await eachRow({ ...part, window: { end: start - 1n } }, draftOf, (draft) => { draft.hasEarlier = true })
  }
  const details: SessionDetails[] = []
  for (const draft of drafts.values()) details.push(await detailsOf(draft))
  return details
}

/** Visits the rows of a part that belong to a draft. */
async function eachRow (
  part: TablePart,
  draftOf: ReadonlyArray<Draft | undefined>,
  visit: (draft: Draft, chunk: Chunk, row: number) => void
): Promise<void> {
  await selectRows(part, {}, (chunk, { count, indices }) => {
    for (let at = 0; at < count; at++) {
      const row = indices[at] ?? 0
      const draft = draftOf[chunk.codes.session[row] ?? 0]
      if (draft !== undefined) visit(draft, chunk, row)
    }
  })
}

/** Where the first window begins. `undefined`: one of them has no lower bound. */
export function earliestStart (parts: readonly TablePart[]): Instant | undefined {
  const starts = parts.flatMap(({ window: { start } }) => start === undefined ? [] : [start])
  const [first] = starts
  return starts.length < parts.length || first === undefined ? undefined : starts.reduce(minInstant, first)
}

/** Finds the drafts of one table by code, and offers them its titles. */
function draftsByCode ({ snapshot }: TablePart, drafts: ReadonlyMap<string, Draft>): Array<Draft | undefined> {
  const byCode: Array<Draft | undefined> = []
  for (const [id, draft] of drafts) {
    const code = snapshot.dictionaries.session.codeOf(id)
    if (code === undefined) continue
    byCode[code] = draft
    const side = snapshot.sessions.sideOf(code)
    if (side !== undefined && (draft.side === undefined || isBetterTitle(side, draft.side))) draft.side = side
  }
  return byCode
}

function addRow (draft: Draft, { snapshot }: TablePart, chunk: Chunk, row: number): void {
  const textOf = (column: DictionaryColumn) => snapshot.dictionaries[column].textOf(chunk.codes[column][row] ?? 0)
  const category = textOf('category_type')
  if (draft.first.chunk === chunk && draft.first.row === row) draft.firstCategory = category ?? ''
  addTo(draft.users, textOf('email'), isUserMessageAt(chunk, row))
  addTo(draft.agents, textOf('agent'), false)
  addTo(draft.tools, textOf('tool'), statusAt(chunk, row) === FAILED)
  addTo(draft.categories, category, false)
}

function addTo (counts: Counts, value: string | undefined, isMarked: boolean): void {
  if (value === undefined) return
  let count = counts.get(value)
  if (count === undefined) {
    count = { value, events: 0, marked: 0 }
    counts.set(value, count)
  }
  count.events++
  if (isMarked) count.marked++
}

async function detailsOf (
  { agents, categories, firstCategory, hasEarlier, side, tools, users }: Draft
): Promise<SessionDetails> {
  const byMessages = await ranked(users, hasMoreMarked)
  return {
    users: byMessages.map(({ events, marked, value }) => ({ email: value, events, messages: marked })),
    agents: (await ranked(agents)).map(({ events, value }) => ({ name: value, events })),
    tools: (await ranked(tools)).map(({ events, marked, value }) => ({ name: value, events, failed: marked })),
    categories: (await ranked(categories)).map(({ events, value }) => ({ value, events })),
    title: side?.title ?? null,
    firstCategory,
    hasEarlier
  }
}

/** The first values in an order, in slices of time: one session may name all values of a dictionary. */
async function ranked (counts: Counts, isBefore = hasMoreEvents): Promise<readonly Count[]> {
  const best = createRanking(MOST_LISTED, isBefore)
  let seen = 0
  for (const count of counts.values()) {
    if (seen++ % VALUES_BETWEEN_PAUSES === 0) await pauseIfDue()
    best.offer(count)
  }
  return best.list()
}

function hasMoreEvents (a: Count, b: Count): boolean {
  return a.events === b.events ? a.value < b.value : a.events > b.events
}

function hasMoreMarked (a: Count, b: Count): boolean {
  return a.marked === b.marked ? hasMoreEvents(a, b) : a.marked > b.marked
}

function newDraft (first: RowPlace): Draft {
  const [users, agents, tools, categories] = [newCounts(), newCounts(), newCounts(), newCounts()]
  return { first, users, agents, tools, categories, firstCategory: '', side: undefined, hasEarlier: false }
}

function newCounts (): Counts {
  return new Map()
}
