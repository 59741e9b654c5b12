import type { ComponentChildren } from 'preact'
import { useEffect, useErrorBoundary, useRef } from 'preact/hooks'
import { useApp } from '../app-context.ts'
import { writeRange } from '../range.ts'
import type { UrlState } from '../url-state.ts'
import { TITLE, VIEW_NAMES, WORDS } from '../words.ts'
import { Announcer, Notice } from './announcer.tsx'
import { Banner } from './banner.tsx'
import { Detail } from './detail.tsx'
import { EventTable } from './event-table.tsx'
import { FacetList } from './facet-list.tsx'
import { FilterChips, Header } from './header.tsx'
import { Help } from './help.tsx'
import { Histogram } from './histogram.tsx'
import { OverviewView } from './overview-view.tsx'
import { SessionTable } from './session-table.tsx'
import { SessionView } from './session-view.tsx'
import { SignIn } from './sign-in.tsx'
import { EvictedNote, TailBar } from './tail-bar.tsx'

export function Page () {
  const { preferences, url } = useApp()
  const { view } = url.value
  const theme = preferences.theme.value
  useEffect(() => { document.title = `${VIEW_NAMES[view]} · ${TITLE}` }, [view])
  useEffect(() => { document.documentElement.dataset.theme = theme }, [theme])
  return (
    <>
      <a class='skip' href='#main'>{WORDS.skip}</a>
      <Guarded><Header /></Guarded>
      <Guarded><Banner /></Guarded>
      <Guarded><FilterChips /></Guarded>
      <main id='main' class={`view-${view}`} tabIndex={-1}><Guarded><View /></Guarded></main>
      <Guarded><Detail /></Guarded>
      <Guarded><SignIn /></Guarded>
      <Guarded><Help /></Guarded>
      <Guarded><Announcer /></Guarded>
      <Guarded><Notice /></Guarded>
    </>
  )
}

/** A part that fails says so, and leaves the rest of the page as it is. With another URL it is tried again. */
function Guarded ({ children }: { children: ComponentChildren }) {
  const [failure, retry] = useErrorBoundary()
  const tried = useRef<UrlState>(undefined)
  const now = useApp().url.value
  useEffect(() => {
    if (failure !== undefined && tried.current !== undefined && tried.current !== now) retry()
    tried.current = failure === undefined ? undefined : now
  })
  if (failure === undefined) return children
  return (
    <p class='trouble' role='alert'>
      <strong>{WORDS.failed}</strong> {String(failure)} <button type='button' onClick={retry}>{WORDS.retry}</button>
    </p>
  )
}

function View () {
  const { session, view } = useApp().url.value
  if (view === 'overview') return <OverviewView />
  if (view === 'events') return <EventsView />
  return session === undefined ? <SessionTable /> : <SessionView key={session} id={session} />
}

function EventsView () {
  return (
    <>
      <div class='events'>
        <Guarded><EventsOverTime /></Guarded>
        <Guarded><TailBar /></Guarded>
        <Guarded><EvictedNote /></Guarded>
        <Guarded><EventTable /></Guarded>
      </div>
      <Guarded><FacetList /></Guarded>
    </>
  )
}

function EventsOverTime () {
  const app = useApp()
  const timeline = app.timeline.data.value
  return timeline === undefined
    ? <p class='histogram empty'>{WORDS.loading}</p>
    : (
      <Histogram
        timeline={timeline}
        onRange={(startMs, endMs) => { app.go(writeRange({ startMs, endMs }, Date.now())) }}
      />
      )
}
