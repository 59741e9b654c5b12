import { useComputed, useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { Session } from '../api.ts'
import { useApp } from '../app-context.ts'
import { dateTime, duration, msOf } from '../time-format.ts'
import { OUTCOMES, SESSION_ORDERS, type Outcome, type SessionOrder } from '../url-state.ts'
import { oneLine } from '../visible-text.ts'
import { OUTCOME_NAMES, ORDER_NAMES, SENTENCES, WORDS, number } from '../words.ts'
import { Link } from './link.tsx'

const NAMES_SHOWN = 3
const LONGEST_WAIT_MS = 60_000
const HEADINGS: readonly (readonly [name: string, kind?: string])[] = [
  [WORDS.outcome],
  [WORDS.title],
  [WORDS.ended],
  [WORDS.lasted, 'number'],
  [WORDS.events, 'number'],
  [WORDS.failures, 'number'],
  [WORDS.people],
  [WORDS.tools]
]

/** The sessions of the range, newest first by default. */
export function SessionTable () {
  const { sessions } = useApp()
  const first = sessions.data.value
  const { items, loadMore, next } = useLaterPages()
  const shown = distinct([...first?.items ?? [], ...items])

  return (
    <section class='sessions' aria-label={WORDS.sessions} aria-busy={sessions.isLoading.value}>
      <Choices />
      <table>
        <thead><tr>{HEADINGS.map(([name, kind]) => <th key={name} scope='col' class={kind}>{name}</th>)}</tr></thead>
        <tbody>{shown.map((session) => <SessionRow key={session.id} session={session} />)}</tbody>
      </table>
      {first === undefined && sessions.trouble.value === undefined && <p class='foot'>{WORDS.loading}</p>}
      {first !== undefined && shown.length === 0 && <p class='foot empty'>{WORDS.noSessions} {WORDS.noEventsHint}</p>}
      {first !== undefined && next !== null && (
        <p class='foot'>
          <button type='button' onClick={loadMore}>
            {SENTENCES.moreSessions(first.pagination.total - shown.length)}
          </button>
        </p>
      )}
      {first !== undefined && first.unassigned_events > 0 && (
        <p class='foot'>{SENTENCES.unassigned(first.unassigned_events)}</p>
      )}
    </section>
  )
}

/**
 * The pages behind the first one, and the first one as it was then: what an update moves out of it stays in the list.
 * Another question, or the end of a credential, forgets them.
 */
function useLaterPages () {
  const { api, credential, notice, sessions, url } = useApp()
  const pages = useSignal<{ items: readonly Session[], next: string | null } | undefined>(undefined)
  const question = useComputed(() => {
    const { end, filter, order, outcome, start } = url.value
    return JSON.stringify([filter, start, end, order, outcome, credential.isWanted.value])
  })
  useEffect(() => { pages.value = undefined }, [question.value])
  const next = pages.value === undefined ? sessions.data.value?.pagination.next ?? null : pages.value.next
  return { items: pages.value?.items ?? [], next, loadMore: () => { void loadMore() } }

  async function loadMore (): Promise<void> {
    const asked = question.value
    const cursor = new URL(next ?? '', api.base).searchParams.get('cursor') ?? ''
    const answer = await api.sessions({ cursor }, AbortSignal.timeout(LONGEST_WAIT_MS))
    if (asked !== question.value) return
    if (answer.ok) {
      const { items, pagination } = answer.data
      const before = pages.value?.items ?? sessions.data.value?.items ?? []
      pages.value = { items: [...before, ...items], next: pagination.next }
    } else notice.value = answer.trouble.detail
  }
}

function Choices () {
  const app = useApp()
  const { order, outcome } = app.url.value
  return (
    <p class='choices'>
      <label class='field'>
        {WORDS.outcome}
        <select
          value={outcome ?? ''}
          onChange={({ currentTarget: { value } }) => { app.go({ outcome: value === '' ? undefined : value as Outcome }) }}
        >
          <option value=''>{WORDS.anyOutcome}</option>
          {OUTCOMES.map((each) => <option key={each} value={each}>{OUTCOME_NAMES[each]}</option>)}
        </select>
      </label>
      <label class='field'>
        {WORDS.orderBy}
        <select
          value={order}
          onChange={({ currentTarget: { value } }) => { app.go({ order: value as SessionOrder }) }}
        >
          {SESSION_ORDERS.map((each) => <option key={each} value={each}>{ORDER_NAMES[each]}</option>)}
        </select>
      </label>
    </p>
  )
}

function SessionRow ({ session }: { session: Session }) {
  const { zone } = useApp().url.value
  const people = session.users.map(({ email }) => email)
  const tools = session.tools.map(({ name }) => name)
  return (
    <tr>
      <td><span class={`status ${session.outcome}`}>{OUTCOME_NAMES[session.outcome]}</span></td>
      <td class='title'>
        <Link to={{ session: session.id, event: undefined }}>
          <bdi dir='auto'>{oneLine(session.title ?? session.id, 160)}</bdi>
        </Link>
        {session.is_open && <small class='open'>{WORDS.open}</small>}
      </td>
      <td class='time'>{session.end_time === null ? '—' : dateTime(msOf(session.end_time) ?? 0, zone)}</td>
      <td class='number'>{session.duration_seconds === null ? '—' : duration(session.duration_seconds)}</td>
      <td class='number'>{number(session.events)}</td>
      <td class={session.failed > 0 ? 'number failed' : 'number'}>{number(session.failed)}</td>
      <td title={people.join(', ')}>{names(people)}</td>
      <td title={tools.join(', ')}>{names(tools)}</td>
    </tr>
  )
}

function names (all: readonly string[]): string {
  const shown = all.slice(0, NAMES_SHOWN).map((name) => oneLine(name, 40)).join(', ')
  return all.length > NAMES_SHOWN ? `${shown} +${all.length - NAMES_SHOWN}` : shown
}

/** A session may be on an updated first page and on a later page. Its first place is the newest. */
function distinct (sessions: readonly Session[]): Session[] {
  const byId = new Map<string, Session>()
  for (const session of sessions) if (!byId.has(session.id)) byId.set(session.id, session)
  return [...byId.values()]
}
