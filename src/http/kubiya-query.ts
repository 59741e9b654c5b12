import { createPageQuery, type PageQuery } from '../archive/page-query.ts'
import { FILTER_VALUE_CHARACTERS, MOST_FILTER_BYTES, filterBytes, type AuditFilter } from '../audit/filter.ts'
import type { Direction } from '../audit/source.ts'
import {
  isObject,
  parseOrUndefined,
  readKubiyaFilter,
  writeKubiyaFilter,
  type KubiyaFilter,
  type ParameterFault
} from './kubiya-filter.ts'

const LARGEST_PAGE_NUMBER = 1_000_000
const LARGEST_PAGE = 10_000
const DEFAULT_PAGE_SIZE = 50
const LONGEST_SORT = 64
const COUNT = /^\d{1,7}$/
const NO_FILTER: KubiyaFilter = { filter: {}, start: undefined, end: undefined }
const READERS = {
  filter: readKubiyaFilter,
  sort: readSort,
  page: countUpTo('page', LARGEST_PAGE_NUMBER),
  page_size: countUpTo('page_size', LARGEST_PAGE),
  search_text: readText,
  status_filter: readStatus,
  // The SDK may send these two. They change nothing.
  timeout_minutes: () => undefined,
  verbose: () => undefined
}

type Name = keyof typeof READERS
type Read<Each extends Name> = Exclude<ReturnType<typeof READERS[Each]>, ParameterFault[]>

/**
 * Reads the query string of Kubiya's list as its clients encode it (docs/kubiya-api.md §1.4): `filter` and `sort` are
 * JSON texts, and `+` may mean a space. Each parameter may come once. Returns the query, or all faults of the
 * parameters.
 */
export function readItemsQuery (search: string): PageQuery | ParameterFault[] {
  const { faults, texts } = readParameters(search)
  const { end, filter: fields, start } = read('filter') ?? NO_FILTER
  const direction = read('sort') ?? 'desc'
  const page = read('page') ?? 1
  const pageSize = read('page_size') ?? DEFAULT_PAGE_SIZE
  const text = read('search_text')
  const status = read('status_filter')
  const filter: AuditFilter = { ...fields, ...status !== undefined && { status }, ...text !== undefined && { text } }
  if (text !== undefined && filterBytes(filter) > MOST_FILTER_BYTES) {
    const message = `all filter values together must be at most ${MOST_FILTER_BYTES} bytes as JSON`
    faults.push({ parameter: 'search_text', message })
  }
  if (faults.length > 0) return faults
  const window = { start, end, unbounded: true }
  const numbered = numberedSearch({ filter: fields, start, end }, { direction, filter, pageSize })
  return createPageQuery({ operation: 'items', filter, window, direction, page, pageSize, numbered })

  /** The value of one parameter. `undefined`: it is absent, or has faults. */
  function read<Each extends Name> (name: Each): Read<Each> | undefined {
    const raw = texts.get(name)
    const value = raw === undefined ? undefined : READERS[name](raw)
    if (!Array.isArray(value)) return value as Read<Each> | undefined
    faults.push(...value)
    return undefined
  }
}

function readParameters (search: string) {
  const texts = new Map<Name, string>()
  const faults: ParameterFault[] = []
  for (const [parameter, text] of new URLSearchParams(search)) {
    if (!isName(parameter)) faults.push({ parameter, message: 'is not a parameter of this route' })
    else if (texts.has(parameter)) faults.push({ parameter, message: 'must not be repeated' })
    else texts.set(parameter, text)
  }
  return { texts, faults }
}

function isName (text: string): text is Name {
  return Object.hasOwn(READERS, text)
}

function readSort (text: string): Direction | ParameterFault[] {
  const sort = text.length > LONGEST_SORT ? undefined : parseOrUndefined(text)
  const isSingle = text.split(':').length <= 2 // Programs differ in which one of two equal keys they use.
  if (isSingle && isObject(sort) && Object.keys(sort).every((key) => key === 'timestamp')) {
    const { timestamp = -1 } = sort
    if (timestamp === -1) return 'desc'
    if (timestamp === 1) return 'asc'
  }
  return [{ parameter: 'sort', message: 'must be {"timestamp":-1} or {"timestamp":1}' }]
}

function countUpTo (parameter: 'page' | 'page_size', most: number): (text: string) => number | ParameterFault[] {
  return (text) => {
    const count = COUNT.test(text) ? Number(text) : 0
    return count >= 1 && count <= most ? count : [{ parameter, message: `must be a whole number from 1 to ${most}` }]
  }
}

function readText (text: string): string | ParameterFault[] {
  if (text.length >= 1 && text.length <= FILTER_VALUE_CHARACTERS) return text
  return [{ parameter: 'search_text', message: `must be 1 to ${FILTER_VALUE_CHARACTERS} characters long` }]
}

function readStatus (text: string): 'success' | 'failed' | ParameterFault[] {
  if (text === 'success' || text === 'failed') return text
  return [{ parameter: 'status_filter', message: 'must be success or failed' }]
}

/** The query string of every page of the same list: only `page` is left out. Equal queries get the same one. */
function numberedSearch (
  filter: KubiyaFilter,
  { direction, filter: { status, text }, pageSize }: Pick<PageQuery, 'direction' | 'filter' | 'pageSize'>
): string {
  const json = writeKubiyaFilter(filter)
  return String(new URLSearchParams({
    ...json !== '{}' && { filter: json },
    sort: JSON.stringify({ timestamp: direction === 'asc' ? 1 : -1 }),
    page_size: String(pageSize),
    ...text !== undefined && { search_text: text },
    ...status !== undefined && { status_filter: status }
  }))
}
