import { LRUCache } from 'lru-cache'
import { networksOf } from './address.ts'
import { TOO_MANY_CREDENTIALS, type Refusal } from './caller.ts'
import { createQuota, type Quota } from './quota.ts'

const OF_ADDRESS_PER_MINUTE = 30
const OF_NARROW_NETWORK_PER_MINUTE = 60
const OF_WIDE_NETWORK_PER_MINUTE = 120
const OF_ALL_PER_MINUTE = 600
const MOST_KEYS = 10_000
const ALL = ''

/** A check that asks somebody else; it counts as failed until it ends. */
export interface Trial {
  readonly ok: true
  /** `given-back`: the credential was good, or nobody could say. Further calls do nothing. */
  end (outcome: 'failed' | 'given-back'): void
}

/** Bounds the checks of credentials that turn out to be none, where a check asks somebody else. */
export interface Trials {
  /** A refusal where this address, its network or all of them have had too many. */
  begin (address: string): Trial | Refusal
  /** This address had a good credential: strangers' failures do not count against it. */
  prove (address: string): void
  isProven (address: string): boolean
}

/**
 * Each address has a bound, each network that one customer may own has a share, and so have all together. An address
 * that once had a good credential shares its bound over all with its like alone.
 */
export function createTrials (nowMs: () => number): Trials {
  const quota = (perMinute: number) => createQuota(perMinute, MOST_KEYS, nowMs)
  const ofAddress = quota(OF_ADDRESS_PER_MINUTE)
  const ofNarrow = quota(OF_NARROW_NETWORK_PER_MINUTE)
  const ofWide = quota(OF_WIDE_NETWORK_PER_MINUTE)
  const ofUnproven = quota(OF_ALL_PER_MINUTE)
  const ofProven = quota(OF_ALL_PER_MINUTE)
  const proven = new LRUCache<string, true>({ max: MOST_KEYS })
  return { begin, prove: (address) => { proven.set(address, true) }, isProven: (address) => proven.has(address) }

  function begin (address: string): Trial | Refusal {
    const bounds = boundsOf(address)
    // The widest bound is told last: it is nothing that the caller has caused.
    for (const { key, quota, whose } of bounds) {
      const waitMs = quota.waitMs(key, 1)
      if (waitMs > 0) return TOO_MANY_CREDENTIALS(whose, waitMs)
    }
    for (const { key, quota } of bounds) quota.spend(key, 1)
    let isOver = false
    return {
      ok: true,
      end (outcome) {
        if (!isOver && outcome === 'given-back') for (const { key, quota } of bounds) quota.spend(key, -1)
        isOver = true
      }
    }
  }

  function boundsOf (address: string): Bound[] {
    const own: Bound = { quota: ofAddress, key: address, whose: 'address' }
    if (proven.has(address)) return [own, { quota: ofProven, key: ALL, whose: 'all' }]
    const { narrow, wide } = networksOf(address)
    return [own, { quota: ofNarrow, key: narrow, whose: 'network' }, { quota: ofWide, key: wide, whose: 'network' }, { quota: ofUnproven, key: ALL, whose: 'all' }]
  }
}

interface Bound {
  readonly quota: Quota
  readonly key: string
  readonly whose: 'address' | 'network' | 'all'
}
