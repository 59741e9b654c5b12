import type { ComponentChildren } from 'preact'
import type { FacetValue, Facets } from '../api.ts'
import { FAILED_LOGINS, type Overview } from '../counts.ts'
import { useApp } from '../app-context.ts'
import { writeRange } from '../range.ts'
import { duration } from '../time-format.ts'
import type { Filter, FilterName, UrlState } from '../url-state.ts'
import { oneLine } from '../visible-text.ts'
import { SENTENCES, WORDS, number, percent } from '../words.ts'
import { Histogram } from './histogram.tsx'
import { Link } from './link.tsx'

/** What happened in the range, in figures. Each one leads to its events. */
export function OverviewView () {
  const app = useApp()
  const { overview, timeline } = app
  const data = overview.data.value
  return (
    <section class='overview' aria-label={WORDS.events} aria-busy={overview.isLoading.value}>
      {data === undefined && overview.trouble.value === undefined && <p class='foot'>{WORDS.loading}</p>}
      {data !== undefined && <Cards overview={data} />}
      {timeline.data.value !== undefined && (
        <Histogram
          timeline={timeline.data.value}
          onRange={(startMs, endMs) => { app.go(writeRange({ startMs, endMs }, Date.now())) }}
        />
      )}
      {data !== undefined && <Tables overview={data} />}
    </section>
  )
}

function Cards ({ overview: { summary } }: { overview: Overview }) {
  const { filter } = useApp().url.value
  const { sessions, totals } = summary
  const events = (change: Filter): Partial<UrlState> => ({ view: 'events', filter: { ...filter, ...change } })
  return (
    <div class='cards'>
      <Card name={WORDS.events} to={events({})}>{number(totals.events)}</Card>
      <Card
        name={WORDS.successRate}
        note={SENTENCES.known(totals.success + totals.failed, totals.unknown)}
        to={events({ status: 'success' })}
      >
        {totals.success_rate === null ? '—' : percent(totals.success_rate)}
      </Card>
      <Card name={WORDS.failures} to={events({ status: 'failed' })}>{number(totals.failed)}</Card>
      <Card name={WORDS.users} to={events({})}>{number(totals.users)}</Card>
      <Card
        name={WORDS.sessions}
        note={noteOf(sessions)}
        to={{ view: 'sessions' }}
      >
        {number(sessions.count)}
      </Card>
    </div>
  )
}

function noteOf ({ duration_seconds: seconds, events_per_session: events }: Overview['summary']['sessions']) {
  if (seconds.median === null || events.median === null) return undefined
  return `${duration(seconds.median)} · ${SENTENCES.perSession(events.median)}`
}

function Card ({ children, name, note, to }: {
  name: string
  note?: string | undefined
  to: Partial<UrlState>
  children: ComponentChildren
}) {
  return (
    <Link class='card' to={to}>
      <span>{name}</span> <strong>{children}</strong> {note !== undefined && <small>{note}</small>}
    </Link>
  )
}

function Tables ({ overview }: { overview: Overview }) {
  const users = overview.summary.by.email.values
  return (
    <div class='columns'>
      <Ranking
        name={WORDS.failingAgents}
        field='category_name'
        values={valuesOf(overview.failingAgents)}
        all={valuesOf(overview.allAgents)}
        filter={{ status: 'failed', category_type: 'agents' }}
      />
      <Ranking
        name={WORDS.failingTools}
        field='tool_name'
        values={valuesOf(overview.failingTools)}
        all={valuesOf(overview.allTools)}
        filter={{ status: 'failed' }}
      />
      <Ranking name={WORDS.failedLogins} field='email' values={valuesOf(overview.failedLogins)} filter={FAILED_LOGINS} />
      <Ranking name={WORDS.topUsers} field='email' values={users} filter={{}} />
    </div>
  )
}

interface RankingProps {
  readonly name: string
  readonly field: FilterName
  readonly values: readonly FacetValue[]
  /** The values with all their events, for success rates. */
  readonly all?: readonly FacetValue[]
  readonly filter: Filter
}

/** The values with the most events. Each leads to its events. */
function Ranking ({ all = [], field, filter, name, values }: RankingProps) {
  const { url } = useApp()
  const most = Math.max(1, ...values.map(({ events }) => events))
  const chosen = { ...url.value.filter, ...filter }
  const rates = new Map(all.map(({ failed, success, value }) => [value, success / Math.max(1, success + failed)]))
  return (
    <section class='ranking'>
      <h2><Link to={{ view: 'events', filter: chosen }}>{name}</Link></h2>
      {values.length === 0 && <p>{WORDS.none}</p>}
      <ol>
        {values.map(({ events, value }) => (
          <li key={value}>
            <Link class='facet' to={{ view: 'events', filter: { ...chosen, [field]: value } }} title={value}>
              <span class='share' style={{ inlineSize: `${events / most * 100}%` }} />
              <bdi dir='auto'>{oneLine(value, 80)}</bdi> <small>{SENTENCES.ranked(events, rates.get(value))}</small>
            </Link>
          </li>
        ))}
      </ol>
    </section>
  )
}

function valuesOf ({ facets }: Facets): readonly FacetValue[] {
  return facets[0]?.values ?? []
}
