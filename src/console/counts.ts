import { effect, type ReadonlySignal } from '@preact/signals'
import type { Answer, Api, Coverage, Facets, SessionPage, Summary, Timeline } from './api.ts'
import { createResource, stable, type Resource } from './resource.ts'
import { queryOf, type EventQuery, type UrlState } from './url-state.ts'

/** The figures of the views. Each is loaded while its view is shown. */
export interface Counts {
  readonly timeline: Resource<Timeline>
  readonly facets: Resource<Facets>
  readonly overview: Resource<Overview>
  readonly sessions: Resource<SessionPage>
}

/** The figures of the overview. */
export interface Overview {
  readonly summary: Summary
  readonly coverage: Coverage
  readonly failingAgents: Facets
  readonly failingTools: Facets
  readonly failedLogins: Facets
  /** Agents and tools with all their events, for success rates. */
  readonly allAgents: Facets
  readonly allTools: Facets
}

const TIMELINE = { buckets: 80, top: 6 }
const TOP_FACETS = 10
const TOP_OVERVIEW = 8
const TOP_RATES = 200
const SESSIONS_A_PAGE = 50
const RELOAD_MS = 5000
const LEAST_RELOAD_MS = 1000
/** A first count fills the memory. The service's cache keeps it for 10 s, and gives it once more while it counts again. */
const FIRST_LOADS = 5

/** The filter that finds failed logins (docs/kubiya-api.md §2.6). */
export const FAILED_LOGINS = { category_type: 'users', action_type: 'authentication', status: 'failed' } as const

export function createCounts ({ api, isSignedOut, url }: {
  readonly api: Api
  readonly url: ReadonlySignal<UrlState>
  readonly isSignedOut: ReadonlySignal<boolean>
}): Counts {
  const counts: Counts = {
    timeline: counted(
      asked((state) => state.view === 'sessions' ? undefined : { ...queryOf(state), ...TIMELINE, by: state.by }),
      api.timeline
    ),
    facets: counted(
      asked((state) => state.view === 'events' ? { ...queryOf(state), top: TOP_FACETS } : undefined),
      api.facets
    ),
    overview: counted(
      asked((state) => state.view === 'overview' ? queryOf(state) : undefined),
      (query, abort) => loadOverview(api, query, abort)
    ),
    sessions: counted(
      asked((state) => state.view === 'sessions' && state.session === undefined ? sessionQuery(state) : undefined),
      api.sessions
    )
  }
  // Nothing that a credential has shown stays when it is gone.
  effect(() => {
    if (isSignedOut.value) for (const each of Object.values(counts)) each.clear()
  })
  return counts

  function asked<Query> (queryOf: (state: UrlState) => Query | undefined): ReadonlySignal<Query | undefined> {
    return stable(() => isSignedOut.value ? undefined : queryOf(url.value))
  }
}

function sessionQuery (state: UrlState) {
  return {
    ...queryOf(state),
    page_size: SESSIONS_A_PAGE,
    order_by: state.order,
    ...state.outcome !== undefined && { outcome: state.outcome }
  }
}

/**
 * A count that is kept up to date while the service has it in memory. A count that is not in memory would read Kubiya
 * each time. It is loaded again when the service says that more will be there. It is also loaded a few times after the
 * first load, which may have filled the memory. A count with a text is never in memory.
 */
function counted<Query extends EventQuery, Data extends { readonly coverage: Coverage }> (
  query: ReadonlySignal<Query | undefined>,
  load: (query: Query, signal: AbortSignal) => Promise<Answer<Data>>
): Resource<Data> {
  return createResource({
    query,
    load,
    reloadMs: ({ coverage: { retry_after: retryAfter } }, { isFromMemory, query: { text }, serial }) => {
      if (retryAfter !== undefined) return Math.max(LEAST_RELOAD_MS, retryAfter * 1000)
      if (isFromMemory) return RELOAD_MS
      return serial < FIRST_LOADS && text === undefined ? RELOAD_MS : undefined
    }
  })
}

async function loadOverview (api: Api, query: EventQuery, abort: AbortSignal): Promise<Answer<Overview>> {
  const failed = { ...query, status: 'failed', top: TOP_OVERVIEW }
  const [agents, tools] = [{ category_type: 'agents', fields: 'category_name' }, { fields: 'tool_name' }]
  const answers = await Promise.all([
    api.summary({ ...query, top: TOP_OVERVIEW }, abort),
    api.facets({ ...failed, ...agents }, abort),
    api.facets({ ...failed, ...tools }, abort),
    api.facets({ ...failed, ...FAILED_LOGINS, fields: 'email' }, abort),
    api.facets({ ...query, ...agents, top: TOP_RATES }, abort),
    api.facets({ ...query, ...tools, top: TOP_RATES }, abort)
  ])
  const answer = together(answers)
  if (!answer.ok) return answer
  const [summary, failingAgents, failingTools, failedLogins, allAgents, allTools] = answer.data
  const data = { summary, failingAgents, failingTools, failedLogins, allAgents, allTools, coverage: summary.coverage }
  return { ok: true, data, isFromMemory: answer.isFromMemory }
}

type DataOf<Answers extends readonly unknown[]> = {
  [Index in keyof Answers]: Answers[Index] extends Answer<infer Data> ? Data : never
}

/** All data, or the first trouble. */
function together<Answers extends readonly Answer<unknown>[]> (answers: readonly [...Answers]): Answer<DataOf<Answers>> {
  const failed = answers.find((answer) => !answer.ok)
  if (failed?.ok === false) return failed
  return {
    ok: true,
    data: answers.map((answer) => answer.ok ? answer.data : undefined) as DataOf<Answers>,
    isFromMemory: answers.every((answer) => answer.ok && answer.isFromMemory)
  }
}
