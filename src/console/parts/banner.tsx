import type { ReadonlySignal } from '@preact/signals'
import type { Coverage } from '../api.ts'
import { useApp, useNow } from '../app-context.ts'
import { dateTime, msOf } from '../time-format.ts'
import { SENTENCES, UPSTREAM_NAMES, WORDS } from '../words.ts'
import { TroubleNote } from './trouble-note.tsx'

const OLD_MS = 90_000

/** What a reader must know of all that is below: whose events these are, and what may be missing. */
export function Banner () {
  const app = useApp()
  const { view } = app.url.value
  const counts = { events: app.timeline, sessions: app.sessions, overview: app.overview }[view]
  const trouble = app.list.trouble.value ?? counts.trouble.value
  return (
    <section class='banner' aria-label={WORDS.notices}>
      {app.readiness.data.value?.upstream.sandbox === true && <p class='sandbox'>{WORDS.sandbox}</p>}
      <UpstreamNote />
      <ExpiryNote />
      {trouble !== undefined && <TroubleNote trouble={trouble} onRetry={retry} />}
      <CoverageNote counts={counts.data} />
    </section>
  )

  function retry (): void {
    app.list.reload()
    counts.reload()
  }
}

/** The credential that was entered here can be replaced in time. That of a proxy is the proxy's affair. */
function ExpiryNote () {
  const { credential, expiresAt, url } = useApp()
  const at = msOf(expiresAt.value)
  if (at === undefined) return null
  return (
    <p class='note' role='status'>
      {SENTENCES.expiring(dateTime(at, url.value.zone))}{' '}
      {credential.value.value !== undefined && (
        <button type='button' onClick={credential.forget}>{WORDS.signInAgain}</button>
      )}
    </p>
  )
}

function UpstreamNote () {
  const { upstream, url } = useApp()
  const known = upstream.value
  if (known === undefined || known.state === 'ok' || known.state === 'unknown') return null
  const since = msOf(known.since)
  const at = since === undefined ? undefined : dateTime(since, url.value.zone)
  return (
    <p class='trouble' role='alert'>{SENTENCES.upstream(UPSTREAM_NAMES[known.state] ?? known.state, at)}.</p>
  )
}

/** Counts that are incomplete, or older than a reader would think. */
function CoverageNote ({ counts }: { counts: ReadonlySignal<{ readonly coverage: Coverage } | undefined> }) {
  const { url } = useApp()
  const now = useNow(10_000)
  const coverage = counts.value?.coverage
  if (coverage === undefined) return null
  const { zone } = url.value
  const [from, asOf] = [msOf(coverage.start_time), msOf(coverage.as_of)]
  if (!coverage.complete && from !== undefined) {
    return <p class='note' role='status'>{SENTENCES.countedBackTo(dateTime(from, zone))}</p>
  }
  if (asOf === undefined || now.value - asOf < OLD_MS) return null
  return <p class='note' role='status'>{SENTENCES.countedAsOf(dateTime(asOf, zone))}</p>
}
