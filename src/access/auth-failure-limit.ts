import { LRUCache } from 'lru-cache'
import { networksOf } from './client-address.ts'
import { TOO_MANY_CREDENTIALS, type Denied } from './caller.ts'

const OF_ADDRESS_PER_MINUTE = 30
const OF_NARROW_NETWORK_PER_MINUTE = 60
const OF_WIDE_NETWORK_PER_MINUTE = 120
const OF_ALL_PER_MINUTE = 600
const MOST_KEYS = 10_000
const MINUTE_MS = 60_000
const ALL = ''

/** A check that asks somebody else; it counts as failed until it ends. */
export interface Trial {
  readonly ok: true
  /** `given-back`: the credential was good, or nobody could say. Further calls do nothing. */
  end (outcome: 'failed' | 'given-back'): void
}

/** Bounds the checks of credentials that turn out to be none, where a check asks somebody else. */
export interface AuthFailureLimit {
  /** A refusal where this address, its network or all of them have had too many. */
  begin (address: string): Trial | Denied
  /** This address had a good credential: strangers' failures do not count against it. */
  prove (address: string): void
  isProven (address: string): boolean
}

/**
 * Each address has a bound, each network that one customer may own has a share, and so have all together. An address
 * that once had a good credential shares its bound over all with its like alone.
 */
export function createAuthFailureLimit (nowMs: () => number): AuthFailureLimit {
  const ofAddress = createMinutes(OF_ADDRESS_PER_MINUTE)
  const ofNarrow = createMinutes(OF_NARROW_NETWORK_PER_MINUTE)
  const ofWide = createMinutes(OF_WIDE_NETWORK_PER_MINUTE)
  const ofUnproven = createMinutes(OF_ALL_PER_MINUTE)
  const ofProven = createMinutes(OF_ALL_PER_MINUTE)
  const proven = new LRUCache<string, true>({ max: MOST_KEYS })
  return { begin, prove: (address) => { proven.set(address, true) }, isProven: (address) => proven.has(address) }

  function begin (address: string): Trial | Denied {
    const atMs = nowMs()
    const bounds = boundsOf(address)
    // The widest bound is told last: it is nothing that the caller has caused.
    for (const { key, minutes, whose } of bounds) {
      const waitMs = minutes.waitMs(key, atMs)
      if (waitMs > 0) return TOO_MANY_CREDENTIALS(whose, waitMs)
    }
    for (const { key, minutes } of bounds) minutes.add(key, atMs)
    let isOver = false
    return {
      ok: true,
      end (outcome) {
        if (!isOver && outcome === 'given-back') for (const { key, minutes } of bounds) minutes.take(key, atMs)
        isOver = true
      }
    }
  }

  function boundsOf (address: string): Bound[] {
    const own: Bound = { minutes: ofAddress, key: address, whose: 'address' }
    if (proven.has(address)) return [own, { minutes: ofProven, key: ALL, whose: 'all' }]
    const { narrow, wide } = networksOf(address)
    return [
      own,
      { minutes: ofNarrow, key: narrow, whose: 'network' },
      { minutes: ofWide, key: wide, whose: 'network' },
      { minutes: ofUnproven, key: ALL, whose: 'all' }
    ]
  }
}

interface Bound {
  readonly minutes: Minutes
  readonly key: string
  readonly whose: 'address' | 'network' | 'all'
}

/**
 * What each of many did within the last minute. A bucket that refills would let more than the bound through a burst.
 */
interface Minutes {
  /** Milliseconds until one more may be added. */
  waitMs (key: string, atMs: number): number
  add (key: string, atMs: number): void
  /** Undoes an `add` of that time. */
  take (key: string, atMs: number): void
}

function createMinutes (most: number): Minutes {
  const times = new LRUCache<string, number[]>({ max: MOST_KEYS })
  return { waitMs, add: (key, atMs) => { times.set(key, [...within(key, atMs), atMs]) }, take }

  function waitMs (key: string, atMs: number): number {
    const recent = within(key, atMs)
    return recent.length < most ? 0 : (recent[0] ?? atMs) + MINUTE_MS - atMs
  }

  function within (key: string, atMs: number): number[] {
    return times.get(key)?.filter((each) => atMs - each < MINUTE_MS) ?? []
  }

  function take (key: string, atMs: number): void {
    const kept = times.get(key)
    const index = kept?.lastIndexOf(atMs) ?? -1
    if (kept !== undefined && index >= 0) times.set(key, kept.filter((_, each) => each !== index))
  }
}
