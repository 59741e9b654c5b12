import { computed, useSignal } from '@preact/signals'
import { useEffect, useMemo } from 'preact/hooks'
import type { ConversationEntry, Session } from '../api.ts'
import { useApp } from '../app-context.ts'
import { openConversation } from '../conversation.ts'
import { foldTools, type FoldedEntry } from '../folded-entries.ts'
import { statusOf } from '../row-log.ts'
import { clockTime, dateTime, duration, msOf, type Zone } from '../time-format.ts'
import { oneLine } from '../visible-text.ts'
import { KIND_NAMES, OUTCOME_NAMES, SENTENCES, STATUS_NAMES, WORDS, number } from '../words.ts'
import { Link } from './link.tsx'
import { LongText } from './long-text.tsx'
import { TroubleNote } from './trouble-note.tsx'

/** A session as a conversation, or as a timeline of its events. */
export function SessionView ({ id }: { id: string }) {
  const app = useApp()
  const conversation = useMemo(() => openConversation({
    api: app.api,
    id,
    credential: () => app.credential.value.value,
    onUnauthorized: app.credential.streamRefused
  }), [id, app.credential.isWanted.value, app.credential.ended.value])
  useEffect(() => conversation.close, [conversation])
  const [sought, showsHidden] = [useSignal(''), useSignal(false)]
  // Not `useComputed`, which would keep the entries of the conversation of an earlier credential.
  const shown = useMemo(() => computed(() => conversation.entries.value.filter((entry) =>
    (showsHidden.value || !entry.hidden) && contains(entry, sought.value))), [conversation])
  const hiddenCount = conversation.entries.value.filter(({ hidden }) => hidden).length
  const session = conversation.session.value
  const { layout } = app.url.value
  const trouble = conversation.trouble.value

  return (
    <section class='session' aria-label={WORDS.session}>
      <p class='back'><Link to={{ session: undefined, event: undefined }}>‹ {WORDS.backToSessions}</Link></p>
      {session !== undefined && <SessionHead session={session} />}
      {trouble !== undefined && <TroubleNote trouble={trouble} onRetry={conversation.loadMore} />}
      <p class='choices'>
        {(['conversation', 'timeline'] as const).map((each) => (
          <Link key={each} class='tab' to={{ layout: each }} isCurrent={layout === each}>{WORDS[each]}</Link>
        ))}
        <input
          type='search'
          aria-label={WORDS.searchInside}
          placeholder={WORDS.searchInside}
          dir='auto'
          onInput={(event) => { sought.value = event.currentTarget.value }}
        />
        <span role='status'>{SENTENCES.counted(shown.value.length)}</span>
        {hiddenCount > 0 && (
          <label>
            <input type='checkbox' onChange={(event) => { showsHidden.value = event.currentTarget.checked }} />
            {WORDS.hiddenRepeats} ({number(hiddenCount)})
          </label>
        )}
      </p>
      {layout === 'timeline'
        ? <TimelineLayout entries={shown.value} />
        : <ol class='conversation'>{foldTools(shown.value).map((each) => <Bubble key={each.entry.event.id} {...each} />)}</ol>}
      {conversation.isLoading.value && <p class='foot'>{WORDS.loading}</p>}
      {conversation.hasMore.value && !conversation.isLoading.value && (
        <p class='foot'><button type='button' onClick={conversation.loadMore}>{WORDS.loadMore}</button></p>
      )}
    </section>
  )
}

function SessionHead ({ session }: { session: Session }) {
  const { zone } = useApp().url.value
  const [from, to] = [msOf(session.start_time), msOf(session.end_time)]
  return (
    <header>
      <h2>
        <span class={`status ${session.outcome}`}>{OUTCOME_NAMES[session.outcome]}</span>{' '}
        <bdi dir='auto'>{oneLine(session.title ?? session.id, 200)}</bdi>
        {session.is_open && <small class='open'>{WORDS.open}</small>}
      </h2>
      <p class='facts'>
        {from !== undefined && to !== undefined && <>{dateTime(from, zone)} – {dateTime(to, zone)} · </>}
        {session.duration_seconds !== null && <>{duration(session.duration_seconds)} · </>}
        {SENTENCES.counted(session.events)}
        {session.failed > 0 && <> · <span class='status failed'>{number(session.failed)} {STATUS_NAMES.failed}</span></>}
        {' · '}{session.users.map(({ email }) => oneLine(email, 60)).join(', ')}
        {' · '}<Link to={{ view: 'events', session: undefined, filter: { session_id: session.id } }}>{WORDS.events}</Link>
      </p>
    </header>
  )
}

function Bubble ({ entry, output }: FoldedEntry) {
  const { zone } = useApp().url.value
  const isTool = entry.kind === 'tool_call' || entry.kind === 'tool_output'
  return (
    <li class={`bubble ${entry.kind}${entry.hidden ? ' hidden-repeat' : ''}`}>
      <EntryHead entry={entry} zone={zone} />
      {isTool ? <ToolBody entry={entry} output={output} /> : <p dir='auto'><LongText text={entry.text} /></p>}
    </li>
  )
}

function EntryHead ({ entry, zone }: { entry: ConversationEntry, zone: Zone }) {
  const ms = msOf(entry.event.timestamp)
  return (
    <div class='entry-head'>
      <b><bdi dir='auto'>{oneLine(entry.actor ?? '—', 80)}</bdi></b> <span class='kind'>{KIND_NAMES[entry.kind]}</span>{' '}
      <Link to={{ event: entry.event.id }} title={WORDS.details}>{ms === undefined ? '—' : clockTime(ms, zone).slice(0, 8)}</Link>
    </div>
  )
}

/** A tool call, folded together with its output. */
function ToolBody ({ entry, output }: FoldedEntry) {
  const result = output ?? (entry.kind === 'tool_output' ? entry : undefined)
  const status = result === undefined ? undefined : statusOf(result.event)
  return (
    <details open={status === 'failed'}>
      <summary>
        <code>{oneLine(entry.tool ?? WORDS.tools, 80)}</code>{' '}
        {status !== undefined && <span class={`status ${status}`}>{STATUS_NAMES[status]}</span>}
      </summary>
      {entry.kind === 'tool_call' && <><h3>{WORDS.arguments}</h3><pre dir='auto'><LongText text={entry.text} /></pre></>}
      {result !== undefined && <><h3>{WORDS.output}</h3><pre dir='auto'><LongText text={result.text} /></pre></>}
    </details>
  )
}

/** All events with their distance from the first one. */
function TimelineLayout ({ entries }: { entries: readonly ConversationEntry[] }) {
  const firstMs = msOf(entries[0]?.event.timestamp) ?? 0
  return (
    <table class='timeline'>
      <tbody>
        {entries.map(({ actor, event, kind, text, tool }) => {
          const ms = msOf(event.timestamp)
          const status = statusOf(event) ?? 'unknown'
          return (
            <tr key={event.id}>
              <td class='number'>{ms === undefined ? '—' : `+${duration((ms - firstMs) / 1000)}`}</td>
              <td><span class={`status ${status}`}>{STATUS_NAMES[status]}</span></td>
              <td>{KIND_NAMES[kind]}</td>
              <td><bdi dir='auto'>{oneLine(actor ?? '', 60)}</bdi></td>
              <td>
                <Link to={{ event: event.id }}>
                  <bdi dir='auto'>{oneLine(`${tool === null ? '' : `${tool}: `}${text}`, 240) || '—'}</bdi>
                </Link>
              </td>
            </tr>
          )
        })}
      </tbody>
    </table>
  )
}

function contains ({ actor, text, tool }: ConversationEntry, sought: string): boolean {
  if (sought === '') return true
  return [text, actor, tool].some((each) => each?.toLowerCase().includes(sought.toLowerCase()) === true)
}
