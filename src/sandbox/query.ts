import { instantOf } from './instant.ts'

export type Order = 1 | -1

/** A valid list query. */
export interface Query {
  /** Path and value of each filter by equality. */
  equal: Array<[path: string, value: unknown]>
  gte: bigint | undefined
  lte: bigint | undefined
  order: Order
  page: number
  pageSize: number
}

/** The parameters of a list request, valid or not. */
export interface Spelled {
  filter: unknown
  sort: unknown
  page: number | undefined
  pageSize: number | undefined
}

const DEFAULT_PAGE_SIZE = 50

/** Reads the parameters for the request log. */
export function spelled (search: URLSearchParams): Spelled {
  return {
    filter: json(search.get('filter')),
    sort: json(search.get('sort')),
    page: numeric(search.get('page')),
    pageSize: numeric(search.get('page_size'))
  }
}

/** Parses the parameters. A text says why they are invalid. */
export function decoded (search: URLSearchParams): Query | string {
  for (const name of new Set(search.keys())) {
    if (search.getAll(name).length > 1) return `${name} is given more than once`
  }
  const filter = search.has('filter') ? json(search.get('filter')) : {}
  if (!isObject(filter)) return 'filter must be a JSON object'
  const { timestamp = {}, ...others } = filter
  const bounds = boundsOf(timestamp)
  if (typeof bounds === 'string') return bounds
  const order = orderOf(search.has('sort') ? json(search.get('sort')) : {})
  if (order === undefined) return 'sort must be {"timestamp":1} or {"timestamp":-1}'
  const page = search.has('page') ? numeric(search.get('page')) : 1
  const pageSize = search.has('page_size') ? numeric(search.get('page_size')) : DEFAULT_PAGE_SIZE
  if (!isCount(page)) return 'page must be a whole number from 1'
  if (!isCount(pageSize)) return 'page_size must be a whole number from 1'
  return { equal: Object.entries(others), ...bounds, order, page, pageSize }
}

function boundsOf (timestamp: unknown): Pick<Query, 'gte' | 'lte'> | string {
  if (!isObject(timestamp)) return 'filter.timestamp must be an object'
  const odd = Object.keys(timestamp).find((key) => key !== 'gte' && key !== 'lte')
  if (odd !== undefined) return `filter.timestamp.${odd} is not known`
  const gte = instantOf(timestamp.gte)
  const lte = instantOf(timestamp.lte)
  if (gte === undefined && 'gte' in timestamp) return 'filter.timestamp.gte is not RFC 3339'
  if (lte === undefined && 'lte' in timestamp) return 'filter.timestamp.lte is not RFC 3339'
  return { gte, lte }
}

function orderOf (sort: unknown): Order | undefined {
  if (!isObject(sort)) return undefined
  const { timestamp = -1, ...others } = sort
  if (Object.keys(others).length > 0) return undefined
  return timestamp === 1 || timestamp === -1 ? timestamp : undefined
}

function json (text: string | null): unknown {
  if (text === null) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function numeric (text: string | null): number | undefined {
  return text !== null && /^-?\d+$/.test(text) ? Number(text) : undefined
}

function isCount (value: number | undefined): value is number {
  return value !== undefined && value >= 1
}

function isObject (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
