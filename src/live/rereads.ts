import type { Asker } from '../audit/asker.ts'
import type { BytePool } from '../audit/byte-pool.ts'
import type { LogCursor } from '../audit/cursor.ts'
import { filterKey, type AuditFilter } from '../audit/filter.ts'
import { EARLIEST, NANOS_PER_SECOND, later, type Instant } from '../audit/instant.ts'
import { comparePlaces, type Place } from '../audit/place.ts'
import type { AuditSource } from '../audit/source.ts'
import type { KeptRows, Replay } from './replay.ts'
import { createReread, type Reread } from './reread.ts'

export interface RereadsOptions {
  readonly source: AuditSource
  readonly head: () => LogCursor
  /** The log's newest instant. */
  readonly newest: () => Instant
  /** What the log keeps from before an offset. */
  readonly kept: (offset: number) => KeptRows
  /** Whether the log still keeps a place. */
  readonly isKept: (place: LogCursor) => boolean
  /** Most events that one stream is given. */
  readonly limit: number
  /** Most bytes of rows that all replays hold. */
  readonly maxBytes: number
  /** What the replays of all scopes hold together, where there are several. */
  readonly pool?: BytePool
  readonly isUpstreamThere: () => boolean
  /** Told of what should not happen; the replay counts as failed. */
  readonly onError: (error: unknown) => void
}

export interface RereadRequest {
  readonly filter: AuditFilter
  readonly from: Instant
  /** Set where a listener reads on: what it has had is not held again. */
  readonly after?: Place | undefined
  /** Set where a replay that began earlier was full before it came this far: another one like it would be in vain. */
  readonly startsHere?: boolean
  /** The offset from which on the listener takes what comes from the log, where that is fixed: the read must begin after that. */
  readonly until: number | undefined
  /** The listener's limit is counted from here. */
  readonly countFrom: Instant
  /**
   * `shared`: a listener that comes back, likely with many others, each with its own filter: one read of everything serves
   * them all while it is short. `own`: with this filter; shared among equals.
   */
  readonly kind: 'shared' | 'own'
  /** Who pays for it, where this listener is the first who wants it. */
  readonly asker?: Asker | undefined
}

export interface Rereads {
  open (request: RereadRequest): Replay
  /** A poll has ended. */
  tell (): void
  /** Drops all replays and gives back their bytes of the pool. */
  close (): void
}

interface Entry {
  readonly key: string
  readonly from: Instant
  readonly after: Place | undefined
  readonly payer: Asker['key']
  /** Whether it was begun for listeners with any filter, and is short therefore. */
  readonly isForAll: boolean
  readonly reread: Reread
  followers: number
  timer: NodeJS.Timeout | undefined
}

const NOBODY: Asker = { key: '', reserve: () => ({ ok: true, read: () => {}, end: () => {} }) }
const ALL = filterKey({})
const COARSE = 10n * NANOS_PER_SECOND
const SHARED_ANSWERS = 10
const SCANNED_PER_GIVEN = 10
const KEPT_MS = 5000
const MOST_REREADS = 64

/**
 * The replays from Kubiya that are under way or just over. Whoever asks for a part of one that is there joins it, and takes
 * over the place in the log that was taken before it, so that nobody has a hole; to that end they begin at whole tens of
 * seconds. One that nobody follows is dropped after some seconds, the oldest one when all of them hold too much.
 */
export function createRereads (options: RereadsOptions): Rereads {
  const { head, isKept, kept, isUpstreamThere, limit, maxBytes, newest, onError, source } = options
  const entries = new Set<Entry>()
  const share = options.pool?.join({ shrink })
  let waiting: Array<() => void> = []

  return { open, tell, close }

  function open (request: RereadRequest): Replay {
    const joined = [...entries].find((entry) => isJoinable(entry, request))
    return followed(joined ?? begin(request))
  }

  function isJoinable ({ after, from, isForAll, key, payer, reread }: Entry, wanted: RereadRequest): boolean {
    const isFitting = key === filterKey(wanted.filter) ? wanted.kind === 'shared' || !isForAll : wanted.kind === 'shared' && key === ALL
    const isAfter = wanted.until === undefined || reread.place.offset >= wanted.until
    const isPaid = !reread.isHeldBack() || payer === wanted.asker?.key
    const isUsable = ['reading', 'done'].includes(reread.state()) && isKept(reread.place)
    return isFitting && isAfter && isPaid && isUsable && from <= wanted.from && holdsAllFor(wanted, after)
  }

  /** Whether what a replay does not hold, since it begins behind a place, is nothing that is wanted. */
  function holdsAllFor (wanted: RereadRequest, after: Place | undefined): boolean {
    if (after === undefined) return wanted.startsHere !== true
    if (wanted.after === undefined) return false
    const order = comparePlaces(after, wanted.after)
    return wanted.startsHere === true ? order === 0 : order <= 0
  }

  function begin ({ after, asker = NOBODY, countFrom, filter, from: wanted, kind }: RereadRequest): Entry {
    const from = after === undefined ? later(EARLIEST, wanted - ((wanted % COARSE) + COARSE) % COARSE) : wanted
    const isForAll = kind === 'shared' && filterKey(filter) !== ALL
    const place = head()
    const reread = createReread({
      source,
      asker,
      filter: isForAll ? {} : filter,
      from,
      after,
      countFrom,
      kept: kept(place.offset),
      place,
      newest: newest(),
      mostEvents: limit,
      mostScanned: SCANNED_PER_GIVEN * limit,
      mostAnswers: isForAll ? SHARED_ANSWERS : Infinity,
      isUpstreamThere,
      nextPoll: () => new Promise((resolve) => { waiting.push(resolve) }),
      onGrowth: () => makeRoom(entry),
      onError
    })
    const key = isForAll ? ALL : filterKey(filter)
    const entry: Entry = { key, from, after, payer: asker.key, isForAll, reread, followers: 0, timer: undefined }
    entries.add(entry)
    for (const oldest of [...entries]) if (entries.size > MOST_REREADS) drop(oldest)
    return entry
  }

  /**
   * Drops replays until all of them together are within the bound: those that nobody follows first, then the oldest.
   * Tells whether they are. A listener of a dropped replay may begin another one at once: that one is not dropped, or this
   * would never end. One that is larger than the bound alone makes nobody else give way.
   */
  function makeRoom (growing: Entry): boolean {
    const others = [...entries].filter((entry) => entry !== growing)
    if (growing.reread.bytes() > maxBytes) {
      for (const entry of others) if (entry.followers === 0) drop(entry)
      return false
    }
    others.sort((one, other) => Number(one.followers > 0) - Number(other.followers > 0)) // Stable: the oldest stay first.
    for (const entry of others) {
      if (held() <= maxBytes) break
      drop(entry)
    }
    if (held() > maxBytes) return false
    share?.hold(held())
    return entries.has(growing)
  }

  /** Drops the oldest for the sake of all scopes. */
  function shrink (bytes: number): number {
    const targetBytes = held() - bytes
    for (const entry of [...entries]) if (held() > targetBytes) drop(entry)
    return held()
  }

  function held (): number {
    return [...entries].reduce((sum, { reread }) => sum + reread.bytes(), 0)
  }

  function drop (entry: Entry): void {
    clearTimeout(entry.timer)
    entries.delete(entry)
    entry.reread.forget()
    share?.hold(held())
  }

  function close (): void {
    for (const entry of [...entries]) drop(entry)
    share?.leave()
  }

  /** The replay as one listener sees it: its leaving is noted. */
  function followed (entry: Entry): Replay {
    return {
      ...entry.reread,
      follow (listener) {
        const leave = entry.reread.follow(listener)
        let isGone = false
        entry.followers++
        clearTimeout(entry.timer)
        return () => {
          if (isGone) return
          isGone = true
          leave()
          if (--entry.followers === 0) entry.timer = setTimeout(() => drop(entry), KEPT_MS).unref()
        }
      }
    }
  }

  function tell (): void {
    const told = waiting
    waiting = []
    for (const resolve of told) resolve()
  }
}
