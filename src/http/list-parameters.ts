import { Type, type Static } from '@sinclair/typebox'
import { createPageQuery, type PageQuery } from '../archive/page-query.ts'
import { decodeCursor } from '../audit/cursor.ts'
import { AuditFilter, FieldFilter, MOST_FILTER_BYTES, filterBytes, isFilter, pickFilter } from '../audit/filter.ts'
import { cursor, cursorFault, fault, filterFault, readWindow, windowParameters, type Fault } from './parameters.ts'

const LARGEST_PAGE = 1000
const LARGEST_LIMIT = 10_000
const DEFAULT_PAGE_SIZE = 50

const paging = {
  ...windowParameters,
  page: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description:
        'Number of the page, from 1; it begins at row (page − 1) · page_size. Default 1. If events arrive meanwhile, ' +
          'following `next` is exact and page numbers are not.',
      examples: [1]
    })
  ),
  page_size: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: LARGEST_PAGE,
      description: `Largest number of items on a page; default ${DEFAULT_PAGE_SIZE}.`,
      examples: [DEFAULT_PAGE_SIZE]
    })
  ),
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: LARGEST_LIMIT,
      description:
        "Largest number of items on a first page that is joined from several of Kubiya's pages. It replaces `page` " +
          'and `page_size`.',
      examples: [500]
    })
  ),
  sort_direction: Type.Optional(
    Type.Unsafe<'asc' | 'desc'>({
      type: 'string',
      enum: ['asc', 'desc'],
      description: 'By instant, then id; default `desc`.'
    })
  ),
  cursor: cursor('Position of the next page, from `next_cursor`. It contains the whole query: send no other parameter.')
}

export const ListQuery = Type.Object({ ...FieldFilter.properties, ...paging }, { additionalProperties: false })
export const SearchQuery = Type.Object({ ...AuditFilter.properties, ...paging }, { additionalProperties: false })
export type SearchQuery = Static<typeof SearchQuery>

export interface ParsedQuery {
  readonly ok: true
  readonly query: PageQuery
  /** Whether the same URL stays valid. A relative start passes an absolute end some day. */
  readonly isRepeatable: boolean
}

/** Reads the parameters of a list or search. `prefix`: the path under which a proxy offers the service. */
export function readPageQuery (
  operation: 'list' | 'search',
  parameters: SearchQuery,
  nowMs: number,
  prefix: string
): ParsedQuery | Fault {
  const { cursor, limit, page, page_size: pageSize, sort_direction: direction = 'desc' } = parameters
  if (cursor !== undefined) return followCursor(operation, parameters, cursor, prefix)
  if (limit !== undefined && (page !== undefined || pageSize !== undefined)) {
    return fault('invalid-parameter', ['limit', 'cannot be combined with page or page_size'])
  }
  const filter = pickFilter(parameters)
  const large = filterFault(filter)
  if (large !== undefined) return large
  const reading = readWindow(parameters, nowMs)
  if (!reading.ok) return reading
  const { window } = reading
  const size = limit ?? pageSize ?? DEFAULT_PAGE_SIZE
  const query = createPageQuery({ operation, filter, window, direction, page: page ?? 1, pageSize: size, prefix })
  return { ok: true, query, isRepeatable: window.start?.kind !== 'ago' || window.end?.kind !== 'at' }
}

function followCursor (
  operation: 'list' | 'search',
  parameters: SearchQuery,
  text: string,
  prefix: string
): ParsedQuery | Fault {
  const combined = cursorFault(parameters)
  if (combined !== undefined) return combined
  const cursor = decodeCursor(text)
  const { properties } = operation === 'list' ? FieldFilter : AuditFilter
  const isValid = cursor?.kind === 'page' && cursor.operation === operation && isFilter(cursor.filter, properties) &&
    filterBytes(cursor.filter) <= MOST_FILTER_BYTES && cursor.pageSize >= 1 && cursor.pageSize <= LARGEST_LIMIT &&
    cursor.page >= 1
  if (!isValid) return fault('invalid-cursor', ['cursor', `is no cursor of this service's ${operation}`])
  return { ok: true, query: createPageQuery({ ...cursor, operation, prefix }), isRepeatable: true }
}
