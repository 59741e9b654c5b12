import createClient from 'openapi-fetch'
import type { components, paths } from '../../openapi/openapi.d.ts'
import type { Problem } from '../client/types.ts'
import type { EventQuery } from './url-state.ts'

type Schemas = components['schemas']
export type EventPage = Schemas['EventPage']
export type Timeline = Schemas['Timeline']
export type Facets = Schemas['Facets']
export type Facet = Facets['facets'][number]
export type FacetValue = Facet['values'][number]
export type Summary = Schemas['Summary']
export type SessionPage = Schemas['SessionPage']
export type Session = Schemas['Session']
export type ConversationPage = Schemas['ConversationPage']
export type ConversationEntry = ConversationPage['entries'][number]
export type Coverage = Schemas['Coverage']

/** What went wrong, for people. `status` 0: the service cannot be reached. */
export interface Trouble {
  readonly status: number
  readonly code: string
  readonly detail: string
  /** Seconds until another try makes sense, where the service says so. */
  readonly retryAfter: number | undefined
  /** The scheme that the service asks for, of a 401. */
  readonly schemes: readonly string[]
}

export type Answer<Data> =
  | {
    readonly ok: true
    readonly data: Data
    /** Whether the service had it in memory, so that asking again costs Kubiya nothing. */
    readonly isFromMemory: boolean
  }
  | { readonly ok: false, readonly trouble: Trouble }

/** What `/readyz` says of Kubiya. */
export interface Readiness {
  readonly upstream: {
    readonly state: string
    readonly lag_ms?: number | null
    readonly sandbox?: boolean
  }
}

export interface ApiOptions {
  /** The address of the service, with a slash at its end. */
  readonly base: URL
  /** The value of `Authorization`, where there is one. */
  readonly credential: () => string | undefined
  readonly onUnauthorized: (schemes: readonly string[]) => void
}

export type Api = ReturnType<typeof createApi>

/** The routes that the page uses, typed by the OpenAPI document. An answer is a value; nothing is thrown. */
export function createApi ({ base, credential, onUnauthorized }: ApiOptions) {
  const client = createClient<paths>({ baseUrl: base.href.replace(/\/$/, '') })
  client.use({
    onRequest ({ request }) {
      const value = credential()
      if (value !== undefined) request.headers.set('authorization', value)
      return request
    },
    onResponse ({ request, response }) {
      // A late refusal of an earlier credential says nothing about this one.
      const isOfThis = (request.headers.get('authorization') ?? undefined) === credential()
      if (response.status === 401 && isOfThis) onUnauthorized(schemesOf(response))
      return undefined
    }
  })

  return {
    base,
    events: (query: EventQuery & { page_size: number }, signal: AbortSignal) =>
      ask(page(query.text !== undefined, query, signal)),
    /** The page behind a cursor. The cursor stands for the whole question. */
    eventsBehind: (cursor: string, isSearch: boolean, signal: AbortSignal) => ask(page(isSearch, { cursor }, signal)),
    /** The text of an event as the service sends it: numbers that JavaScript cannot represent are exact in it. */
    eventText: (id: string, signal: AbortSignal) => ask(client.GET('/api/v1/audit/events/{id}', {
      params: { path: { id } },
      parseAs: 'text',
      signal
    }) as Promise<Fetched<string>>),
    timeline: (query: EventQuery & { buckets: number, by: string, top: number }, signal: AbortSignal) =>
      ask(client.GET('/api/v1/audit/timeline', { params: { query: query as never }, signal })),
    facets: (query: EventQuery & { top: number, fields?: string }, signal: AbortSignal) =>
      ask(client.GET('/api/v1/audit/facets', { params: { query: query as never }, signal })),
    summary: (query: EventQuery & { top: number }, signal: AbortSignal) =>
      ask(client.GET('/api/v1/audit/summary', { params: { query: query as never }, signal })),
    sessions: (
      query: EventQuery & { page_size?: number, cursor?: string, outcome?: string, order_by?: string },
      signal: AbortSignal
    ) => ask(client.GET('/api/v1/audit/sessions', { params: { query: query as never }, signal })),
    conversation: (id: string, query: { page_size?: number, cursor?: string }, signal: AbortSignal) =>
      ask(client.GET('/api/v1/audit/sessions/{id}', { params: { path: { id }, query }, signal })),
    exportTicket: (query: Record<string, string>, signal: AbortSignal) =>
      ask(client.POST('/api/v1/audit/export/tickets', { params: { query: query as never }, signal })),
    readiness: (signal: AbortSignal) => readinessOf(base, signal)
  }

  function page (isSearch: boolean, query: object, signal: AbortSignal): Promise<Fetched<EventPage>> {
    const options = { params: { query: query as never }, signal }
    return isSearch
      ? client.GET('/api/v1/audit/events/search', options)
      : client.GET('/api/v1/audit/events', options)
  }
}

interface Fetched<Data> {
  readonly data?: Data
  readonly error?: unknown
  readonly response: Response
}

async function ask<Data> (fetching: Promise<Fetched<Data>>): Promise<Answer<Data>> {
  try {
    const { data, error, response } = await fetching
    if (data === undefined) return { ok: false, trouble: troubleOf(error, response) }
    return { ok: true, data, isFromMemory: response.headers.get('cache-status')?.includes('detail=memory') === true }
  } catch (error) {
    return { ok: false, trouble: { ...UNREACHABLE, detail: error instanceof Error ? error.message : String(error) } }
  }
}

const UNREACHABLE: Trouble = { status: 0, code: 'unreachable', detail: '', retryAfter: undefined, schemes: [] }

function troubleOf (error: unknown, response: Response): Trouble {
  const problem = error as Partial<Problem> | undefined
  const isProblem = typeof problem === 'object' && problem !== null
  const retryAfter = Number(response.headers.get('retry-after') ?? NaN)
  return {
    status: response.status,
    code: (isProblem ? problem.code : undefined) ?? 'unexpected',
    detail: (isProblem ? problem.detail : undefined) ?? `The service answered ${response.status}.`,
    retryAfter: Number.isFinite(retryAfter) ? retryAfter : undefined,
    schemes: schemesOf(response)
  }
}

/** The schemes of `WWW-Authenticate` that the page can sign in with. */
function schemesOf (response: Response): readonly string[] {
  const header = response.headers.get('www-authenticate') ?? ''
  return ['Bearer', 'UserKey'].filter((scheme) => new RegExp(`(?:^|,)\\s*${scheme}\\b`, 'i').test(header))
}

/** `/readyz` answers 503 with the same body while the service is not ready. */
async function readinessOf (base: URL, signal: AbortSignal): Promise<Answer<Readiness>> {
  try {
    const response = await fetch(new URL('readyz', base), { signal })
    const body = await response.json() as Readiness
    if (typeof body.upstream?.state === 'string') return { ok: true, data: body, isFromMemory: true }
    return { ok: false, trouble: troubleOf(body, response) }
  } catch (error) {
    return { ok: false, trouble: { ...UNREACHABLE, detail: String(error) } }
  }
}
