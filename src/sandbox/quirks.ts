import type { Ids } from './history/entry.ts'

export type Ignorable = 'filter' | 'sort' | 'bounds' | 'page'

/** What is not known of the real upstream: each field is one of its possible quirks. */
export interface Quirks {
  /** Which spelling of the session filter works; the other matches nothing. */
  sessionFilter: 'extra.session_id' | 'session_id' | 'both' | 'neither'
  /** The largest page that is answered, whatever was asked for. */
  pageCap: number
  /** The size that a page number is multiplied by: the one answered or the one asked for. */
  offsetBy: 'capped' | 'asked'
  byId: 'found' | '404' | '405' | '501' | 'html' | 'null' | '[]' | '{}'
  shape: 'array' | 'items' | 'data'
  /** How a list without rows looks; `array` is an empty array inside the shape. */
  empty: 'array' | 'null' | '204' | 'items-null'
  ids: Ids
  /** Parts of a question that have no effect; without `sort` the newest come first. */
  ignore: Set<Ignorable>
  /** How far the upstream's clock is ahead of ours. */
  clockSkewMs: number
  rateLimit: { perMinute: number } | undefined
}

/** The quirks asked for, the usual ones for the rest. */
export function quirksOf (wanted: Partial<Quirks>): Quirks {
  return {
    sessionFilter: wanted.sessionFilter ?? 'extra.session_id',
    pageCap: wanted.pageCap ?? 1000,
    offsetBy: wanted.offsetBy ?? 'capped',
    byId: wanted.byId ?? 'found',
    shape: wanted.shape ?? 'array',
    empty: wanted.empty ?? 'array',
    ids: wanted.ids ?? 'none',
    ignore: new Set(wanted.ignore),
    clockSkewMs: wanted.clockSkewMs ?? 0,
    rateLimit: wanted.rateLimit
  }
}
