import { Fragment } from 'preact'
import { computed, signal } from '@preact/signals'
import { useEffect, useMemo, useRef } from 'preact/hooks'
import { agentOf, sessionOf } from '../../audit/narrative.ts'
import type { JsonObject } from '../../audit/exact-json.ts'
import type { PublishedEvent } from '../../client/types.ts'
import { useApp } from '../app-context.ts'
import { AROUND_MS } from '../navigation.ts'
import { curlCommand } from '../curl.ts'
import { parseExactly } from '../exact-tree.ts'
import { createResource } from '../resource.ts'
import { narrativeOf, statusOf } from '../row-log.ts'
import { clockTime, dateTime, dayOf, msOf, zoneName } from '../time-format.ts'
import { visibleText } from '../visible-text.ts'
import { COLUMN_NAMES, FIELD_NAMES, KIND_NAMES, STATUS_NAMES, WORDS } from '../words.ts'
import { JsonTree } from './json-tree.tsx'
import { Link } from './link.tsx'
import { LongText } from './long-text.tsx'
import { TroubleNote } from './trouble-note.tsx'

/** Where the events of a filter are shown. */
const IN_THE_LIST = { view: 'events', session: undefined, event: undefined } as const

/** The event that the URL names, over the list. */
export function Detail () {
  const { credential, url } = useApp()
  const { event: id } = url.value
  return id === undefined || credential.isWanted.value ? null : <EventDetail id={id} />
}

function EventDetail ({ id }: { id: string }) {
  const app = useApp()
  const panel = useRef<HTMLDivElement>(null)
  const text = useMemo(() => createResource({ query: signal(id), load: app.api.eventText }), [id])
  const event = useMemo(() => computed((): PublishedEvent | undefined =>
    text.data.value === undefined
      ? app.list.eventBeside(id, 0)
      : JSON.parse(text.data.value) as PublishedEvent), [id])

  useEffect(() => text.dispose, [text])
  useEffect(() => {
    app.list.pause('detail')
    return () => { app.list.unpause('detail') }
  }, [])
  useFocus(panel)

  return (
    <div class='detail' role='dialog' aria-label={WORDS.details} tabIndex={-1} ref={panel}>
      <div class='detail-bar'>
        <Beside id={id} by={-1} label={WORDS.next} sign='↓' />
        <Beside id={id} by={1} label={WORDS.previous} sign='↑' />
        <span class='grow' />
        <button type='button' onClick={() => { void app.copyLink() }}>{WORDS.copyLink}</button>
        <button type='button' onClick={() => { void app.copy(text.data.value ?? JSON.stringify(event.value)) }}>
          {WORDS.copyJson}
        </button>
        {event.value !== undefined && (
          <button type='button' onClick={() => { void app.copy(event.value === undefined ? '' : narrativeOf(event.value).text) }}>
            {WORDS.copyText}
          </button>
        )}
        <button type='button' onClick={() => { void app.copy(curlCommand(address(), scheme())) }}>{WORDS.copyCurl}</button>
        <button type='button' class='close' aria-label={WORDS.close} onClick={close}>×</button>
      </div>
      {event.value === undefined
        ? text.trouble.value === undefined
          ? <p>{WORDS.loading}</p>
          : text.trouble.value.status === 404
            ? <p role='alert'>{WORDS.notFound}</p>
            : <TroubleNote trouble={text.trouble.value} onRetry={text.reload} />
        : <EventBody key={id} event={event.value} json={text.data.value} />}
    </div>
  )

  function close (): void {
    app.go({ event: undefined })
  }

  function address (): URL {
    return new URL(`api/v1/audit/events/${encodeURIComponent(id)}`, app.api.base)
  }

  function scheme (): string | undefined {
    return app.credential.value.value?.split(' ', 1)[0]
  }
}

/** Takes the focus. At the end it goes back to where it was; from nowhere it goes to the list. */
function useFocus (panel: { current: HTMLElement | null }): void {
  useEffect(() => {
    const before = document.activeElement
    panel.current?.focus()
    return () => {
      const now = document.activeElement
      if (now !== document.body && panel.current?.contains(now) !== true) return
      const isBack = before instanceof HTMLElement && before !== document.body && before.isConnected
      const target = isBack ? before : document.querySelector<HTMLElement>('[role=grid]')
      target?.focus({ preventScroll: true })
    }
  }, [])
}

function Beside ({ by, id, label, sign }: { id: string, by: -1 | 1, label: string, sign: string }) {
  const app = useApp()
  const event = app.list.eventBeside(id, by)
  return (
    <button
      type='button'
      aria-label={label}
      title={label}
      disabled={event === undefined}
      onClick={() => { if (event !== undefined) app.open(event) }}
    >
      {sign}
    </button>
  )
}

function EventBody ({ event, json }: { event: PublishedEvent, json: string | undefined }) {
  const { kind, text } = narrativeOf(event)
  const status = statusOf(event) ?? 'unknown'
  return (
    <>
      <p class='lead'>
        <span class={`status ${status}`}>{STATUS_NAMES[status]}</span> <span class='kind'>{KIND_NAMES[kind]}</span>
      </p>
      <Facts event={event} />
      {text !== '' && <pre class='said' dir='auto' tabIndex={0}><LongText text={text} /></pre>}
      <Around event={event} />
      <details open>
        <summary>{WORDS.tree}</summary>
        <JsonTree value={json === undefined ? event as JsonObject : parseExactly(json)} />
      </details>
      {json !== undefined && (
        <details>
          <summary>{WORDS.raw}</summary>
          <pre class='raw' tabIndex={0}><LongText text={json} /></pre>
        </details>
      )}
    </>
  )
}

/** Who, what and when. Each value is a filter. */
function Facts ({ event }: { event: PublishedEvent }) {
  const { url } = useApp()
  const { zone } = url.value
  const ms = msOf(event.timestamp)
  const other = zone === 'utc' ? 'local' : 'utc'
  const { tool } = narrativeOf(event)
  const facts = [
    ['email', written(event.email)],
    ['category_name', agentOf(event as JsonObject) ?? written(event.category_name)],
    ['tool_name', tool],
    ['action_type', written(event.action_type)],
    ['resource_type', written(event.resource_type)],
    ['category_type', written(event.category_type)]
  ] as const
  return (
    <dl class='facts'>
      {ms !== undefined && (
        <>
          <dt>{COLUMN_NAMES.time}</dt>
          <dd>
            <time dateTime={written(event.timestamp)}>{dayOf(ms, zone)} {clockTime(ms, zone)}</time> {zoneName(zone, ms)}
            {zoneName(zone, ms) !== zoneName(other, ms) && <small> {dateTime(ms, other)} {zoneName(other, ms)}</small>}
          </dd>
        </>
      )}
      {facts.map(([name, value]) => value === undefined || value === ''
        ? null
        : (
          <Fragment key={name}>
            <dt>{FIELD_NAMES[name]}</dt>
            <dd>
              <Link to={{ ...IN_THE_LIST, filter: { ...url.value.filter, [name]: value } }} title={WORDS.include}>
                <bdi dir='auto'>{visibleText(value)}</bdi>
              </Link>
            </dd>
          </Fragment>
          ))}
    </dl>
  )
}

/** Ways from this event to those beside it in time, of its user, and of its session. */
function Around ({ event }: { event: PublishedEvent }) {
  const ms = msOf(event.timestamp)
  const session = sessionOf(event as JsonObject)
  const email = written(event.email)
  return (
    <p class='ways'>
      {ms !== undefined && (
        <Link
          to={{
            view: 'events',
            session: undefined,
            filter: {},
            start: new Date(ms - AROUND_MS).toISOString(),
            end: new Date(ms + AROUND_MS).toISOString()
          }}
        >
          {WORDS.aroundThis}
        </Link>
      )}
      {email !== '' && <Link to={{ ...IN_THE_LIST, filter: { email } }}>{WORDS.thisUser}</Link>}
      {session !== undefined && (
        <Link to={{ view: 'sessions', session, event: undefined }}>{WORDS.thisSession}</Link>
      )}
    </p>
  )
}

function written (value: unknown): string {
  return typeof value === 'string' ? value : ''
}
