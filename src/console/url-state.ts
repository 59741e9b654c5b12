/** The filters of a search, by the names of the API. */
export const FILTER_NAMES = [
  'category_type', 'category_name', 'resource_type', 'action_type', 'email', 'tool_name', 'session_id', 'status', 'text'
] as const
export type FilterName = typeof FILTER_NAMES[number]
export type Filter = Readonly<Partial<Record<FilterName, string | undefined>>>

/** The parameters of the API that name events: filters and times. */
export type EventQuery = Filter & { readonly start_time?: string, readonly end_time?: string }

export const VIEWS = ['events', 'sessions', 'overview'] as const
export type View = typeof VIEWS[number]

/** The fields that the histogram can be divided by. */
export const SERIES_FIELDS = [
  'status', 'category_type', 'category_name', 'resource_type', 'action_type', 'email', 'tool_name'
] as const
export type SeriesField = typeof SERIES_FIELDS[number]

export const COLUMNS = ['time', 'status', 'kind', 'agent', 'user', 'text', 'tool', 'action', 'resource', 'session'] as const
export type Column = typeof COLUMNS[number]
export const USUAL_COLUMNS: readonly Column[] = ['time', 'status', 'kind', 'agent', 'user', 'text']

/** What a narrow screen has room for. */
export const FEW_COLUMNS: readonly Column[] = ['time', 'status', 'text']

export const OUTCOMES = ['success', 'failed', 'recovered', 'unknown'] as const
export type Outcome = typeof OUTCOMES[number]
export const SESSION_ORDERS = ['end_time', 'events', 'failed', 'duration'] as const
export type SessionOrder = typeof SESSION_ORDERS[number]

/** Everything that the page shows, apart from the data. The address of the page holds it. */
export interface UrlState {
  readonly view: View
  readonly filter: Filter
  /** A time of the API: RFC 3339 or relative (`-15m`). `undefined`: 24 hours before the end. */
  readonly start: string | undefined
  /** `undefined`: now, and the list follows new events. */
  readonly end: string | undefined
  /** The id of the event that is open, or an instant. */
  readonly event: string | undefined
  /** The id of the session that is open. */
  readonly session: string | undefined
  readonly layout: 'conversation' | 'timeline'
  readonly outcome: Outcome | undefined
  readonly order: SessionOrder
  readonly by: SeriesField
  readonly columns: readonly Column[]
  readonly wraps: boolean
  readonly zone: 'utc' | 'local'
  readonly isLive: boolean
}

const LONGEST_VALUE = 256

/** Reads the query of an address. What is unknown or unusable has its usual value. */
export function readUrlState (search: string): UrlState {
  const query = new URLSearchParams(search)
  const session = text(query, 'session')
  const columns = (query.get('cols') ?? '').split(',').filter((name): name is Column => isOneOf(COLUMNS, name))
  return {
    view: oneOf(VIEWS, query.get('view')) ?? (session === undefined ? 'events' : 'sessions'),
    filter: Object.fromEntries(FILTER_NAMES.flatMap((name) => {
      const value = text(query, name)
      return value === undefined ? [] : [[name, value]]
    })),
    start: text(query, 'start_time'),
    end: text(query, 'end_time'),
    event: text(query, 'event'),
    session,
    layout: query.get('as') === 'timeline' ? 'timeline' : 'conversation',
    outcome: oneOf(OUTCOMES, query.get('outcome')),
    order: oneOf(SESSION_ORDERS, query.get('order_by')) ?? 'end_time',
    by: oneOf(SERIES_FIELDS, query.get('by')) ?? 'status',
    columns: columns.length > 0 ? [...new Set(columns)] : USUAL_COLUMNS,
    wraps: query.get('wrap') === '1',
    zone: query.get('tz') === 'utc' ? 'utc' : 'local',
    isLive: query.get('live') !== '0'
  }
}

/** The query of an address, with `?`; empty where everything is as usual. */
export function writeUrlState (state: UrlState): string {
  const isUsualView = state.view === (state.session === undefined ? 'events' : 'sessions')
  const query = new URLSearchParams()
  const set = (name: string, value: string | undefined) => { if (value !== undefined) query.set(name, value) }
  set('view', isUsualView ? undefined : state.view)
  for (const name of FILTER_NAMES) set(name, state.filter[name])
  set('start_time', state.start)
  set('end_time', state.end)
  set('event', state.event)
  set('session', state.session)
  set('as', state.layout === 'timeline' ? 'timeline' : undefined)
  set('outcome', state.outcome)
  set('order_by', state.order === 'end_time' ? undefined : state.order)
  set('by', state.by === 'status' ? undefined : state.by)
  set('cols', state.columns.join() === USUAL_COLUMNS.join() ? undefined : state.columns.join())
  set('wrap', state.wraps ? '1' : undefined)
  set('tz', state.zone === 'utc' ? 'utc' : undefined)
  set('live', state.isLive ? undefined : '0')
  const written = query.toString()
  return written === '' ? '' : `?${written}`
}

/** The parameters of a request about these events. */
export function queryOf ({ filter, start, end }: Pick<UrlState, 'filter' | 'start' | 'end'>): EventQuery {
  return {
    ...filter,
    ...start !== undefined && { start_time: start },
    ...end !== undefined && { end_time: end }
  }
}

function text (query: URLSearchParams, name: string): string | undefined {
  const value = query.get(name)
  return value === null || value === '' ? undefined : value.slice(0, LONGEST_VALUE)
}

function isOneOf<Value extends string> (values: readonly Value[], value: string): value is Value {
  return (values as readonly string[]).includes(value)
}

function oneOf<Value extends string> (values: readonly Value[], value: string | null): Value | undefined {
  return value !== null && isOneOf(values, value) ? value : undefined
}
