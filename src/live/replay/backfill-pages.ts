import { LRUCache } from 'lru-cache'
import type { BytePool } from '../../audit/byte-pool.ts'
import type { LogCursor } from '../../audit/cursor.ts'
import { filterKey, type AuditFilter } from '../../audit/filter.ts'
import type { Instant } from '../../audit/instant.ts'
import type { Requester } from '../../audit/requester.ts'
import type { EventLog, LogEntry } from '../log/event-log.ts'
import { pageOfLog, readPage, type BackfillRow, type PageReadOptions, type PageResult } from './page-read.ts'

export interface BackfillPagesOptions
  extends Pick<PageReadOptions, 'clock' | 'isUpstreamThere' | 'scanLimit' | 'source'> {
  readonly log: Pick<EventLog, 'startOffset' | 'end' | 'read' | 'newestInstant' | 'completeSince'>
  /** Most bytes of the pages that are kept. A larger page is kept alone. */
  readonly maxBytes: number
  /** What the pages of all tenants hold together, where there are several. */
  readonly pool?: BytePool
  /** Told of what should not happen; the page counts as failed. */
  readonly onError: (error: unknown) => void
}

export interface PageRequest {
  readonly filter: AuditFilter
  /** Rows from this instant on are due. */
  readonly from: Instant
  /** Where the log takes over: the read must begin after that. `undefined`: the page determines it. */
  readonly until: LogCursor | undefined
  /** Who pays for the read, where this subscriber is the first to ask for it. */
  readonly requester?: Requester | undefined
}

/** The rows from one instant on, read once for all subscribers that need them. */
export interface BackfillPage {
  /** The key of the filter that the rows were read with. */
  readonly filter: string
  readonly from: Instant
  /** The end of the log, and its newest instant, when the read began: what the page can miss enters behind it. */
  readonly until: LogCursor
  readonly newest: Instant
  readonly payer: Requester['key']
  state:
    /** `isHeldBack`: for the payer's share of the budget. Others have shares of their own. */
    | { readonly kind: 'reading', readonly waiters: Set<() => void>, isHeldBack: boolean }
    | Omit<Extract<PageResult, { kind: 'ready' }>, 'rows' | 'bytes'>
    | Extract<PageResult, { kind: 'failed' }>
}

/** The past, page by page, for any number of subscribers. */
export interface BackfillPages {
  /** Returns a page that holds the rows from an instant on. Calls `wake` when a page that is being read has ended. */
  open (request: PageRequest, wake: () => void): BackfillPage
  /** The subscriber waits no longer. */
  leave (page: BackfillPage, wake: () => void): void
  /** The rows of a page that is ready; `undefined`: they were dropped to free memory. */
  rows (page: BackfillPage): readonly BackfillRow[] | undefined
  /** A poll has ended. */
  polled (): void
  /** Drops all pages and gives back their bytes of the pool. */
  close (): void
}

const MOST_PAGES = 256
const KEPT_MS = 30_000 // A slow reader may take as long for a page.
const ALL = filterKey({})
const NOBODY: Requester = { key: '', reserve: () => ({ ok: true, read: () => {}, end: () => {} }) }

/**
 * Pages of the past, each read once. A page begins at an instant and ends before another, so the pages of one filter
 * form one sequence for all subscribers. A read ends when no subscriber waits for it.
 */
export function createBackfillPages (options: BackfillPagesOptions): BackfillPages {
  const { clock, log, maxBytes, onError } = options
  const reading = new Set<BackfillPage>()
  const kept = new LRUCache<BackfillPage, BackfillRow[]>({
    max: MOST_PAGES,
    maxSize: maxBytes,
    ttl: KEPT_MS,
    updateAgeOnGet: true,
    ttlResolution: 0,
    perf: { now: clock.monotonicMs }
  })
  const share = options.pool?.join({ shrink })
  let pollWaiters: Array<() => void> = []

  return { open, leave, rows: (page) => kept.get(page), polled, close }

  function open (request: PageRequest, wake: () => void): BackfillPage {
    const key = filterKey(request.filter)
    const fits = (page: BackfillPage) => (page.filter === key || page.filter === ALL) && isFitting(page, request)
    const page = [...reading].find(fits) ?? [...kept.keys()].find(fits) ?? begin(request)
    if (page.state.kind === 'reading') page.state.waiters.add(wake)
    return page
  }

  /**
   * A subscriber without a position takes that of the page, where the log still keeps it. It also waits for a page that
   * begins earlier: streams that return together would otherwise read the same past side by side.
   */
  function isFitting ({ from, payer, state, until }: BackfillPage, request: PageRequest): boolean {
    if (until.offset < (request.until?.offset ?? log.startOffset())) return false
    if (state.kind === 'ready') return from <= request.from && request.from < state.reached
    if (state.kind === 'failed' || (state.isHeldBack && payer !== request.requester?.key)) return false
    return from === request.from || (request.until === undefined && from < request.from)
  }

  function leave ({ state }: BackfillPage, wake: () => void): void {
    if (state.kind === 'reading') state.waiters.delete(wake)
  }

  function begin ({ filter, from, requester = NOBODY }: PageRequest): BackfillPage {
    const [since, until, newest] = [log.completeSince(), log.end(), log.newestInstant()]
    const entries = log.read(log.startOffset(), until.offset - log.startOffset()) ?? []
    const state = { kind: 'reading' as const, waiters: new Set<() => void>(), isHeldBack: false }
    const page = { filter: filterKey(filter), from, until, newest, payer: requester.key, state }
    if (from >= since) return settle({ ...page, filter: ALL, from: since }, pageOfLog(entries, since))
    reading.add(page)
    read(page, state, { requester, filter, from, since, entries, newest }).catch((error: unknown): PageResult => {
      onError(error)
      return { kind: 'failed', reason: 'upstream-outage' }
    }).then((result) => settle(page, result)).catch(onError)
    return page
  }

  function read (
    page: BackfillPage,
    state: Extract<BackfillPage['state'], { kind: 'reading' }>,
    part: Pick<PageReadOptions, 'requester' | 'filter' | 'from' | 'since' | 'newest'> & { readonly entries: LogEntry[] }
  ): Promise<PageResult> {
    return readPage({
      ...options,
      ...part,
      nextPoll: () => new Promise((resolve) => { pollWaiters.push(resolve) }),
      isAwaited,
      onHeldBack: (isHeldBack) => { state.isHeldBack = isHeldBack }
    })

    /** A page that no one waits for is not found any more: its read may be over before it is known to be. */
    function isAwaited (): boolean {
      if (state.waiters.size > 0) return true
      reading.delete(page)
      return false
    }
  }

  function settle (page: BackfillPage, result: PageResult): BackfillPage {
    reading.delete(page)
    if (result.kind === 'abandoned') return page
    const { state } = page
    page.state = result.kind === 'failed'
      ? result
      : { kind: 'ready', reached: result.reached, scanned: result.scanned }
    if (result.kind === 'ready') {
      kept.set(page, result.rows, { size: Math.max(1, Math.min(result.bytes, maxBytes)) })
      share?.hold(kept.calculatedSize)
    }
    if (state.kind === 'reading') for (const wake of state.waiters) wake()
    return page
  }

  /** Drops the pages that were not used for longest, for the sake of all tenants. */
  function shrink (bytes: number): number {
    const targetBytes = kept.calculatedSize - bytes
    while (kept.size > 0 && kept.calculatedSize > targetBytes) kept.pop()
    return kept.calculatedSize
  }

  function polled (): void {
    kept.purgeStale()
    share?.hold(kept.calculatedSize)
    const resolved = pollWaiters
    pollWaiters = []
    for (const resolve of resolved) resolve()
  }

  function close (): void {
    for (const { state } of reading) if (state.kind === 'reading') state.waiters.clear()
    kept.clear()
    share?.leave()
  }
}
