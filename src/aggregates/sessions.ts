import type { AuditFilter } from '../audit/filter.ts'
import { NANOS_PER_SECOND, type Instant } from '../audit/instant.ts'
import type { SessionOutcome, SessionTrigger } from '../audit/session.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import { FAILED } from './columns.ts'
import type { TablePart } from './event-table.ts'
import { detailSessions, earliestStart, type SessionDetails } from './session-details.ts'
import { instantOf, statusAt } from './session-rows.ts'
import { durationOf, toSeconds, totalSessions, type AllSessionTotals, type SessionTotals } from './session-totals.ts'

export const SESSION_ORDERS = ['end_time', 'events', 'failed', 'duration'] as const
export type SessionOrder = typeof SESSION_ORDERS[number]
/** One session as it is published, but for its instants. The figures are of all its events in the windows. */
export interface Session extends Omit<SessionDetails, 'firstCategory' | 'hasEarlier'> {
  readonly id: string
  /** Null: no event of the session has an instant. */
  readonly start_time: Instant | null
  readonly end_time: Instant | null
  readonly duration_seconds: number | null
  readonly events: number
  readonly success: number
  readonly failed: number
  readonly unknown: number
  readonly outcome: SessionOutcome
  readonly trigger: SessionTrigger
  readonly is_open: boolean
  readonly may_have_begun_earlier: boolean
}

/** A position in a list of sessions: greatest value first, then the id in code units. */
export interface SessionPosition {
  readonly value: bigint
  readonly id: string
}

export interface SessionsOptions {
  readonly orderBy: SessionOrder
  readonly outcome?: SessionOutcome
  readonly pageSize: number
  /** The page ends early behind the session that exceeds it: bytes of lists and titles as JSON. Default: no bound. */
  readonly maxBytes?: number
  /** The last session of the page before. */
  readonly after?: SessionPosition
  /** The last good poll. A session is open if its last event is less than five minutes older. */
  readonly asOf?: Instant
}

export interface SessionPage {
  readonly items: readonly Session[]
  /** How many sessions there are on all pages. */
  readonly total: number
  /** Matching events that belong to no session. */
  readonly unassigned_events: number
  /** The last session of this page. `undefined`: there is no further page. */
  readonly next: SessionPosition | undefined
  /** Whether a session is missing, because the table holds no more ids of sessions. */
  readonly capped: boolean
}

const SILENCE = 300n * NANOS_PER_SECOND
const NEVER = -(10n ** 21n) // Below every instant. Sessions without one come last.
const TRIGGERS: ReadonlyArray<readonly [part: string, SessionTrigger]> = [
  ['webhook', 'webhook'], ['trigger', 'webhook'], ['slack', 'slack'], ['api', 'api']
]

/**
 * A page of the sessions with at least one matching event. First the figures of all sessions are counted, then the
 * details of those on the page.
 *
 * The pages of one query show each session once, if all have the windows and the `sequence` of the first page. Rows
 * that were added later then do not count. A rebuilt table gives its rows new numbers. The caller then leaves
 * `sequence` out, and later pages may repeat or skip sessions that changed.
 */
export async function countSessions (
  parts: readonly TablePart[],
  filter: AuditFilter,
  options: SessionsOptions
): Promise<SessionPage> {
  const { asOf, maxBytes = Infinity, orderBy, outcome, pageSize } = options
  const { each, isCapped, unassigned } = await totalSessions(parts, filter)
  const accepts = (session: SessionTotals) =>
    session.isMatched && (outcome === undefined || outcomeOf(session) === outcome)
  const { first, total } = await select(each, accepts, options)
  const page = first.slice(0, pageSize)
  const details = await within(maxBytes, await detailSessions(parts, page))
  const context = { asOf, start: earliestStart(parts) }
  const last = page[details.length - 1]
  return {
    items: details.flatMap((each, index) => {
      const session = page[index]
      return session === undefined ? [] : [completed(session, each, context)]
    }),
    total,
    unassigned_events: unassigned,
    next: last === undefined || first.length <= details.length ? undefined : positionOf(last, orderBy),
    capped: isCapped
  }
}

/** The first details, up to the one that exceeds a number of bytes, in slices of time. */
async function within (maxBytes: number, details: readonly SessionDetails[]): Promise<readonly SessionDetails[]> {
  if (maxBytes === Infinity) return details
  let bytes = 0
  for (const [at, each] of details.entries()) {
    bytes += Buffer.byteLength(JSON.stringify(each))
    if (bytes > maxBytes) return details.slice(0, at + 1)
    await pauseIfDue()
  }
  return details
}

/** Negative: `a` comes before `b` in a list of sessions. */
export function compareSessionPositions (a: SessionPosition, b: SessionPosition): number {
  if (a.value !== b.value) return a.value > b.value ? -1 : 1
  return a.id === b.id ? 0 : a.id < b.id ? -1 : 1
}

interface Ranked {
  readonly position: SessionPosition
  readonly session: SessionTotals
}

/** The sessions of one page and one more, in order, and how many there are in all. */
async function select (
  each: AllSessionTotals['each'],
  accepts: (session: SessionTotals) => boolean,
  { after, orderBy, pageSize }: SessionsOptions
): Promise<{ readonly first: SessionTotals[], readonly total: number }> {
  const first: Ranked[] = []
  let total = 0
  await each((session) => {
    if (!accepts(session)) return
    total++
    const position = positionOf(session, orderBy)
    if (after === undefined || compareSessionPositions(position, after) > 0) keep(first, { position, session }, pageSize)
  })
  return { first: first.map(({ session }) => session), total }
}

/** Inserts a session at its place among the first ones. */
function keep (first: Ranked[], ranked: Ranked, pageSize: number): void {
  let [low, high] = [0, first.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const each = first[middle]
    if (each !== undefined && compareSessionPositions(each.position, ranked.position) < 0) low = middle + 1
    else high = middle
  }
  if (low > pageSize) return
  first.splice(low, 0, ranked)
  if (first.length > pageSize + 1) first.pop()
}

function positionOf (session: SessionTotals, orderBy: SessionOrder): SessionPosition {
  return { value: valueOf(session, orderBy), id: session.id }
}

function valueOf (session: SessionTotals, orderBy: SessionOrder): bigint {
  switch (orderBy) {
    case 'end_time': return instantOf(session.last) ?? NEVER
    case 'duration': return durationOf(session) ?? NEVER
    case 'events': return BigInt(session.events)
    case 'failed': return BigInt(session.failed)
  }
}

/** By the newest event that succeeded or failed. */
function outcomeOf ({ decisive, failed }: SessionTotals): SessionOutcome {
  if (decisive.chunk === undefined) return 'unknown'
  if (statusAt(decisive.chunk, decisive.row) === FAILED) return 'failed'
  return failed > 0 ? 'recovered' : 'success'
}

/** What began the session: by the category of its first event. */
function triggerOf (category: string): SessionTrigger {
  const text = category.toLowerCase()
  return TRIGGERS.find(([part]) => text.includes(part))?.[1] ?? 'conversation'
}

function completed (
  session: SessionTotals,
  { firstCategory, hasEarlier, ...details }: SessionDetails,
  { asOf, start: windowStart }: { readonly asOf: Instant | undefined, readonly start: Instant | undefined }
): Session {
  const [start, end, nanos] = [instantOf(session.first), instantOf(session.last), durationOf(session)]
  const { events, failed, id, success } = session
  const { title, ...lists } = details
  const isNearStart = start !== undefined && windowStart !== undefined && start - windowStart < SILENCE
  return {
    id,
    start_time: start ?? null,
    end_time: end ?? null,
    duration_seconds: nanos === undefined ? null : toSeconds(nanos),
    events,
    success,
    failed,
    unknown: events - success - failed,
    outcome: outcomeOf(session),
    title,
    trigger: triggerOf(firstCategory),
    ...lists,
    is_open: end !== undefined && asOf !== undefined && asOf - end < SILENCE,
    may_have_begun_earlier: hasEarlier || isNearStart
  }
}
