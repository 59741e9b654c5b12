import type { Ids } from './history/entry.ts'

export type Ignorable = 'filter' | 'sort' | 'bounds' | 'page'

/** What is unknown about the real upstream. Each field is one of its possible quirks. */
export interface Quirks {
  /** Which key of the session filter works. The other key matches nothing. */
  sessionFilter: 'extra.session_id' | 'session_id' | 'both' | 'neither'
  /** The largest page that is answered, whatever size is requested. */
  pageCap: number
  /** The page size that computes the offset of a page: the capped size or the requested one. */
  offsetBy: 'capped' | 'asked'
  byId: 'found' | '404' | '405' | '501' | 'html' | 'null' | '[]' | '{}'
  shape: 'array' | 'items' | 'data'
  /** The form of a list without rows. `array`: an empty array inside the shape. */
  empty: 'array' | 'null' | '204' | 'items-null'
  ids: Ids
  /** Parts of a query that are ignored. Without `sort`, the newest event comes first. */
  ignore: Set<Ignorable>
  /** How far the upstream's clock is ahead of ours. */
  clockSkewMs: number
  rateLimit: { perMinute: number } | undefined
}

/** Completes quirks with their defaults. */
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
