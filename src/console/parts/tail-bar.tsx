import { useApp, useNow } from '../app-context.ts'
import { isFollowed } from '../event-list.ts'
import { REASON_NAMES, SENTENCES, UPSTREAM_NAMES, WORDS } from '../words.ts'
import { ColumnMenu } from './column-menu.tsx'

/** What the list does: whether it follows new events, how fast they come, and whether Kubiya answers. */
export function TailBar () {
  const app = useApp()
  const { list, url } = app
  const now = useNow(1000)
  const rows = list.rows().length
  const isFollowing = isFollowed(url.value)

  return (
    <div class='tail-bar' role='toolbar' aria-label={WORDS.live}>
      {isFollowing ? <PauseButton /> : <FollowButton />}
      <LiveLabel nowMs={now.value} />
      {isFollowing && <span class='rate' title={WORDS.events}>{SENTENCES.rate(list.eventsPerSecond())}</span>}
      <UpstreamLabel nowMs={now.value} />
      <span class='grow' />
      <span class='loaded'>{SENTENCES.shown(rows, list.hasOlder.value)}</span>
      <ColumnMenu />
    </div>
  )
}

function PauseButton () {
  const { list } = useApp()
  if (!list.isPaused.value) {
    return (
      <button type='button' class='pause' onClick={() => { list.pause('person') }}>
        <kbd aria-hidden='true'>❚❚</kbd> {WORDS.pause}
      </button>
    )
  }
  const { events, failed } = list.pending()
  return (
    <button type='button' class='pause paused' onClick={list.resume}>
      <kbd aria-hidden='true'>▶</kbd> {SENTENCES.resume(events, failed)}
    </button>
  )
}

function FollowButton () {
  const app = useApp()
  return (
    <button type='button' onClick={() => { app.go({ end: undefined, isLive: true }) }}>
      {WORDS.followNew}
    </button>
  )
}

function LiveLabel ({ nowMs }: { nowMs: number }) {
  const { list } = useApp()
  const live = list.live.value
  switch (live.kind) {
    case 'off': return <span class='live off'>{WORDS.notLive}</span>
    case 'connecting': return <span class='live waiting'>{WORDS.connecting}</span>
    case 'live': return <span class={list.isPaused.value ? 'live held' : 'live'}>{list.isPaused.value ? WORDS.paused : WORDS.live}</span>
    case 'over': return (
      <span class='live broken'>
        {SENTENCES.over(live.detail)} <button type='button' onClick={list.reload}>{WORDS.retry}</button>
      </span>
    )
    case 'reconnecting': {
      const seconds = Math.max(0, Math.ceil((live.untilMs - nowMs) / 1000))
      return <span class='live broken'>{SENTENCES.reconnecting(seconds, REASON_NAMES[live.reason] ?? live.reason)}</span>
    }
  }
}

/** The state of Kubiya and the age of the last good poll. Between two frames the age grows. */
function UpstreamLabel ({ nowMs }: { nowMs: number }) {
  const { upstream } = useApp()
  const known = upstream.value
  if (known === undefined) return null
  const lagMs = known.lagMs === undefined ? undefined : known.lagMs + Math.max(0, nowMs - known.atMs)
  return (
    <span class={`upstream ${known.state}`}>
      {UPSTREAM_NAMES[known.state] ?? known.state}
      {lagMs !== undefined && <small>{SENTENCES.lag(lagMs)}</small>}
    </span>
  )
}

/** How many rows of the frozen view were dropped for memory. */
export function EvictedNote () {
  const { list } = useApp()
  const { evicted } = list.pending()
  return evicted === 0 ? null : <p class='note'>{SENTENCES.evicted(evicted)}</p>
}
