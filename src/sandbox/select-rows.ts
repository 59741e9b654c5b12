import { BEFORE_ALL, valueAt, type Entry } from './history/entry.ts'
import type { Order, Query } from './query.ts'
import type { Quirks } from './quirks.ts'
import type { Span } from './history/sorted-run.ts'
import type { Store } from './history/store.ts'

type Judge = (entry: Entry) => boolean

const AFTER_ALL = -BEFORE_ALL

/** The rows that answer a query, with the upstream's quirks. */
export function rowsOf (store: Store, query: Query, quirks: Quirks): Entry[] {
  const size = Math.min(query.pageSize, quirks.pageCap)
  const page = quirks.ignore.has('page') ? 1 : query.page
  const order: Order = quirks.ignore.has('sort') ? -1 : query.order
  const judges = quirks.ignore.has('filter') ? [] : query.equal.map(([path, value]) => judge(path, value, quirks))
  let skip = (page - 1) * (quirks.offsetBy === 'asked' ? query.pageSize : size)
  const rows: Entry[] = []
  if (size < 1) return rows
  for (const entry of store.walk(spanOf(query, quirks), order)) {
    if (!judges.every((holds) => holds(entry))) continue
    if (skip > 0) {
      skip--
      continue
    }
    rows.push(entry)
    if (rows.length >= size) break
  }
  return rows
}

function spanOf (query: Query, quirks: Quirks): Span {
  if (quirks.ignore.has('bounds') || (query.gte === undefined && query.lte === undefined)) {
    return { from: BEFORE_ALL, to: AFTER_ALL }
  }
  // An event without a readable timestamp is within no bounds.
  return { from: query.gte ?? BEFORE_ALL + 1n, to: query.lte ?? AFTER_ALL }
}

function judge (path: string, wanted: unknown, { sessionFilter }: Quirks): Judge {
  const isSession = path === 'session_id' || path === 'extra.session_id'
  if (isSession && sessionFilter !== 'both' && sessionFilter !== path) return () => false
  const steps = isSession ? ['extra', 'session_id'] : path.split('.')
  return (entry) => valueAt(entry.value, steps) === wanted
}
