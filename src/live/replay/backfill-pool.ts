import type { Clock } from '../../clock.ts'
import type { Requester } from '../../audit/requester.ts'
import type { BytePool } from '../../audit/byte-pool.ts'
import { filterKey, type AuditFilter } from '../../audit/filter.ts'
import { EARLIEST, NANOS_PER_SECOND, maxInstant, type Instant } from '../../audit/instant.ts'
import { compareSortKeys, type SortKey } from '../../audit/sort-key.ts'
import type { AuditSource } from '../../audit/source.ts'
import type { EventLog } from '../log/event-log.ts'
import { createBackfill, type Backfill, type OwnedBackfill } from './backfill.ts'

export interface BackfillPoolOptions {
  readonly source: AuditSource
  readonly log: Pick<EventLog, 'startOffset' | 'end' | 'read' | 'newestInstant' | 'completeSince'>
  /** Most events that one stream is given. */
  readonly limit: number
  /** Most events that are read of an upstream that does not sort. */
  readonly scanLimit: number
  /** Most bytes of rows that all backfills hold. */
  readonly maxBytes: number
  /** What the backfills of all tenants hold together, where there are several. */
  readonly pool?: BytePool
  readonly isUpstreamThere: () => boolean
  readonly clock: Clock
  /** Told of what should not happen; the backfill counts as failed. */
  readonly onError: (error: unknown) => void
}

export interface BackfillRequest {
  readonly filter: AuditFilter
  readonly from: Instant
  /** Set where a subscriber reads on: rows up to this key are not held again. */
  readonly after?: SortKey | undefined
  /** Set where an earlier backfill was full before it came this far: another one like it would be in vain. */
  readonly startsHere?: boolean
  /** The offset from which the log takes over, where that is fixed: the read must begin after that. */
  readonly until: number | undefined
  /** The subscriber's limit is counted from here. */
  readonly countFrom: Instant
  /**
   * `shared`: a subscriber that returns, likely with many others, each with its own filter: one read of everything
   * serves them all while it is short. `own`: with this filter; shared among equals.
   */
  readonly kind: 'shared' | 'own'
  /** Who pays for it, where this subscriber is the first to ask for it. */
  readonly requester?: Requester | undefined
}

export interface BackfillPool {
  open (request: BackfillRequest): Backfill
  /** A poll has ended. */
  polled (): void
  /** Drops all backfills and gives back their bytes of the pool. */
  close (): void
}

interface Entry {
  readonly key: string
  readonly from: Instant
  readonly after: SortKey | undefined
  readonly payer: Requester['key']
  /** Whether it serves subscribers with any filter, and is short therefore. */
  readonly isForAll: boolean
  readonly backfill: OwnedBackfill
  followers: number
  /** Cancels that it is dropped. */
  keep: () => void
}

const NOBODY: Requester = { key: '', reserve: () => ({ ok: true, read: () => {}, end: () => {} }) }
const ALL = filterKey({})
const COARSE = 10n * NANOS_PER_SECOND
const SHARED_ANSWERS = 10
const SCANNED_PER_GIVEN = 10
const KEPT_MS = 5000
const MOST_BACKFILLS = 64

/**
 * The replays from Kubiya that are under way or just over. Whoever asks for a part of one that is there joins it, and
 * takes over the place in the log that was taken before it, so that nobody has a hole; to that end they begin at whole
 * tens of seconds. One that nobody follows is dropped after some seconds, the oldest one when all of them hold too
 * much.
 */
export function createBackfillPool (options: BackfillPoolOptions): BackfillPool {
  const { clock, isUpstreamThere, limit, log, maxBytes, onError, source } = options
  const entries = new Set<Entry>()
  const share = options.pool?.join({ shrink })
  let waiting: Array<() => void> = []

  return { open, polled, close }

  function open (request: BackfillRequest): Backfill {
    const joined = [...entries].find((entry) => isJoinable(entry, request))
    return followed(joined ?? begin(request))
  }

  function isJoinable ({ after, from, isForAll, key, payer, backfill }: Entry, wanted: BackfillRequest): boolean {
    const isFitting = key === filterKey(wanted.filter)
      ? wanted.kind === 'shared' || !isForAll
      : wanted.kind === 'shared' && key === ALL
    const isAfter = wanted.until === undefined || backfill.until.offset >= wanted.until
    const isPaid = !backfill.isHeldBack() || payer === wanted.requester?.key
    const isUsable = ['reading', 'done'].includes(backfill.state()) && backfill.until.offset >= log.startOffset()
    return isFitting && isAfter && isPaid && isUsable && from <= wanted.from && holdsAllFor(wanted, after)
  }

  /** Whether what a replay does not hold, since it begins behind a place, is nothing that is wanted. */
  function holdsAllFor (wanted: BackfillRequest, after: SortKey | undefined): boolean {
    if (after === undefined) return wanted.startsHere !== true
    if (wanted.after === undefined) return false
    const order = compareSortKeys(after, wanted.after)
    return wanted.startsHere === true ? order === 0 : order <= 0
  }

  function begin ({ after, requester = NOBODY, countFrom, filter, from: wanted, kind }: BackfillRequest): Entry {
    const isForAll = kind === 'shared' && filterKey(filter) !== ALL
    const [since, until] = [log.completeSince(), log.end()]
    const from = after === undefined ? sharedStart(wanted, since) : wanted
    const backfill = createBackfill({
      clock,
      source,
      requester,
      filter: isForAll ? {} : filter,
      from,
      after,
      countFrom,
      kept: { since, entries: log.read(log.startOffset(), until.offset - log.startOffset()) ?? [] },
      until,
      newest: log.newestInstant(),
      mostEvents: limit,
      mostScanned: SCANNED_PER_GIVEN * limit,
      scanLimit: options.scanLimit,
      mostAnswers: isForAll ? SHARED_ANSWERS : Infinity,
      isUpstreamThere,
      nextPoll: () => new Promise((resolve) => { waiting.push(resolve) }),
      onGrowth: () => makeRoom(entry),
      onError
    })
    const key = isForAll ? ALL : filterKey(filter)
    const entry: Entry = { key, from, after, payer: requester.key, isForAll, backfill, followers: 0, keep: () => {} }
    entries.add(entry)
    for (const oldest of [...entries]) if (entries.size > MOST_BACKFILLS) drop(oldest)
    return entry
  }

  /** Subscribers that return together share one start. Where the log keeps all, that is everything that it keeps. */
  function sharedStart (from: Instant, since: Instant): Instant {
    return from >= since ? since : maxInstant(EARLIEST, from - ((from % COARSE) + COARSE) % COARSE)
  }

  /**
   * Drops replays until all of them together are within the bound: those that nobody follows first, then the oldest.
   * Tells whether they are. A subscriber of a dropped replay may begin another one at once: that one is not dropped, or
   * this would never end. One that is larger than the bound alone makes nobody else give way.
   */
  function makeRoom (growing: Entry): boolean {
    const others = [...entries].filter((entry) => entry !== growing)
    if (growing.backfill.bytes() > maxBytes) {
      for (const entry of others) if (entry.followers === 0) drop(entry)
      return false
    }
    // Stable: the oldest stay first.
    others.sort((one, other) => Number(one.followers > 0) - Number(other.followers > 0))
    for (const entry of others) {
      if (held() <= maxBytes) break
      drop(entry)
    }
    if (held() > maxBytes) return false
    share?.hold(held())
    return entries.has(growing)
  }

  /** Drops the oldest for the sake of all tenants. */
  function shrink (bytes: number): number {
    const targetBytes = held() - bytes
    for (const entry of [...entries]) if (held() > targetBytes) drop(entry)
    return held()
  }

  function held (): number {
    return [...entries].reduce((sum, { backfill }) => sum + backfill.bytes(), 0)
  }

  function drop (entry: Entry): void {
    entry.keep()
    entries.delete(entry)
    entry.backfill.forget()
    share?.hold(held())
  }

  function close (): void {
    for (const entry of [...entries]) drop(entry)
    share?.leave()
  }

  /** The replay as one subscriber sees it: its leaving is noted. */
  function followed (entry: Entry): Backfill {
    return {
      ...entry.backfill,
      follow (listener) {
        const leave = entry.backfill.follow(listener)
        let isGone = false
        entry.followers++
        entry.keep()
        return () => {
          if (isGone) return
          isGone = true
          leave()
          if (--entry.followers === 0) entry.keep = clock.setTimer(() => drop(entry), KEPT_MS)
        }
      }
    }
  }

  function polled (): void {
    const told = waiting
    waiting = []
    for (const resolve of told) resolve()
  }
}
