import { LRUCache } from 'lru-cache'
import type { BytePool } from '../../audit/byte-pool.ts'
import type { LogCursor } from '../../audit/cursor.ts'
import { filterKey, type AuditFilter } from '../../audit/filter.ts'
import type { Instant } from '../../audit/instant.ts'
import type { GapReason } from '../../audit/log-batch.ts'
import { metered, withReservation, type Requester } from '../../audit/requester.ts'
import type { Answer, AuditSource, Failure } from '../../audit/source.ts'
import type { LogReader } from '../log/event-log.ts'
import type { Clock } from '../../clock.ts'
import {
  certainRows,
  emptyPage,
  readPage,
  withLog,
  type BackfillRow,
  type PageReadOptions,
  type PageRows
} from './page-read.ts'

export interface BackfillPagesOptions extends Pick<PageReadOptions, 'isUpstreamThere' | 'scanLimit' | 'source'> {
  readonly clock: Clock
  readonly log: Pick<LogReader, 'startOffset' | 'end' | 'read' | 'completeSince'>
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
  /** Who pays for the read, where the share of those who wait for longer is spent. */
  readonly requester?: Requester | undefined
}

/** The rows from one instant on, read once for all subscribers that need them. */
export interface BackfillPage {
  /** The key of the filter that the rows were read with. */
  readonly filter: string
  readonly from: Instant
  /** The end of the log when the read began: what the page can miss enters behind it. */
  readonly until: LogCursor
  state:
    | { readonly kind: 'reading' }
    | { readonly kind: 'ready', readonly reached: Instant, readonly scanned: number }
    | { readonly kind: 'failed', readonly reason: GapReason }
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

/** Those who wait for a page, and who pays for each. */
type Waiters = Map<() => void, Requester>

const MOST_PAGES = 256
const KEPT_MS = 30_000 // A slow reader may take as long for a page.
const SHARE_MS = 1000 // Another one may wait by then who has a share left.
const FIRST_BACK_OFF_MS = 400
const LONGEST_BACK_OFF_MS = 30_000
const ALL = filterKey({})
const NOBODY: Requester = { key: '', reserve: () => ({ ok: true, read: () => {}, end: () => {} }) }

/**
 * Pages of the past, each read once. A page begins at an instant and ends before another, so the pages of one filter
 * form one sequence for all subscribers. The last page ends with what the log kept when its read began.
 */
export function createBackfillPages (options: BackfillPagesOptions): BackfillPages {
  const { clock, isUpstreamThere, log, maxBytes, source } = options
  const reading = new Map<BackfillPage, Waiters>()
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

  return {
    open,
    leave: (page, wake) => { reading.get(page)?.delete(wake) },
    rows: (page) => kept.get(page),
    polled,
    close
  }

  function open (request: PageRequest, wake: () => void): BackfillPage {
    const page = [...reading.keys(), ...kept.keys()].find((each) => isFitting(each, request))
    if (page === undefined) return begin(request, wake)
    reading.get(page)?.set(wake, request.requester ?? NOBODY)
    return page
  }

  /**
   * A subscriber without a position takes that of the page, where the log still keeps it. It also waits for a page that
   * begins earlier: streams that return together would otherwise read the same past side by side.
   */
  function isFitting ({ filter, from, state, until }: BackfillPage, request: PageRequest): boolean {
    if (filter !== ALL && filter !== filterKey(request.filter)) return false
    if (until.offset < (request.until?.offset ?? log.startOffset())) return false
    if (state.kind === 'ready') return from <= request.from && request.from < state.reached
    return from === request.from || (request.until === undefined && from < request.from)
  }

  function begin ({ filter, from, requester = NOBODY }: PageRequest, wake: () => void): BackfillPage {
    const since = log.completeSince()
    const entries = log.read(log.startOffset(), Infinity) ?? []
    const page: BackfillPage = { filter: filterKey(filter), from, until: log.end(), state: { kind: 'reading' } }
    if (from >= since) return settle({ ...page, filter: ALL, from: since }, withLog(emptyPage(since), entries, since))
    const waiters = new Map([[wake, requester]])
    reading.set(page, waiters)
    readPage({
      ...options,
      source: paidBy(waiters),
      filter,
      from,
      since,
      // Found no more from then on, so that nobody begins to wait for a read that was given up.
      isGivenUp: () => waiters.size === 0 && reading.delete(page),
      backOff: (failure, failures) => backOff(waiters, failure, failures)
    }).then((rows) => {
      if (rows === undefined) return
      settle(page, typeof rows === 'string' || rows.reached < since ? rows : withLog(rows, entries, since))
    }).catch((error: unknown) => {
      options.onError(error)
      settle(page, 'upstream-outage')
    })
    return page
  }

  /** The source, at the cost of the first one who waits and has a share left. */
  function paidBy (waiters: Waiters): AuditSource {
    return {
      ...source,
      async read (query) {
        let answer: Answer | Failure = { ok: false, kind: 'share' }
        for (const requester of waiters.values()) {
          const purpose = { kind: 'caller', key: requester.key } as const
          answer = await withReservation(requester, query.pageSize, (reservation) =>
            metered(source, reservation).read(query, purpose))
          if (answer.ok || answer.kind !== 'share') break
        }
        return answer
      }
    }
  }

  /** While the poller fails, too, no requests are sent. */
  async function backOff (waiters: Waiters, { kind, retryAfterMs = 0 }: Failure, failures: number): Promise<void> {
    const ceilingMs = Math.min(LONGEST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** failures)
    const waitMs = kind === 'share' ? SHARE_MS : Math.max(retryAfterMs, Math.random() * ceilingMs)
    await new Promise<void>((resolve) => { clock.setTimer(resolve, waitMs) })
    while (waiters.size > 0 && !isUpstreamThere()) await new Promise<void>((resolve) => { pollWaiters.push(resolve) })
  }

  function settle (page: BackfillPage, read: PageRows | GapReason): BackfillPage {
    if (typeof read === 'string') {
      page.state = { kind: 'failed', reason: read }
    } else {
      page.state = { kind: 'ready', reached: read.reached, scanned: read.scanned }
      kept.set(page, certainRows(read), { size: Math.max(1, Math.min(read.bytes, maxBytes)) })
      share?.hold(kept.calculatedSize)
    }
    const waiters = reading.get(page) ?? []
    reading.delete(page)
    for (const [wake] of waiters) wake()
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
    for (const waiters of reading.values()) waiters.clear()
    kept.clear()
    share?.leave()
  }
}
