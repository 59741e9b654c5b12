import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import { networksOf } from './client-address.ts'
import { tooManyCredentials, type Denied } from './caller.ts'

const ADDRESS_PER_MINUTE = 30
const NARROW_NETWORK_PER_MINUTE = 60
const WIDE_NETWORK_PER_MINUTE = 120
const TOTAL_PER_MINUTE = 600
const MAX_KEYS = 10_000
const MINUTE_MS = 60_000
const ALL = ''

/** A check of an unknown credential that needs a request to a third party. It counts as failed until it ends. */
export interface Trial {
  readonly ok: true
  /** `not-failed`: the credential was good, or nobody could verify it. Only the first call counts. */
  end (outcome: 'failed' | 'not-failed'): void
}

/** Limits checks of invalid credentials, where each check needs a request to a third party. */
export interface AuthFailureLimit {
  /** Starts a trial, or denies it when this address, its network or all of them had too many. */
  begin (address: string): Trial | Denied
  /** Records a good credential of an address: failures of unproven addresses no longer count against it. */
  prove (address: string): void
  isProven (address: string): boolean
}

/**
 * An address has a limit, so does each network that one customer may own, and so do all addresses together. Proven
 * addresses share a total limit of their own.
 */
export function createAuthFailureLimit ({ monotonicMs }: Pick<Clock, 'monotonicMs'>): AuthFailureLimit {
  const byAddress = createSlidingWindow(ADDRESS_PER_MINUTE)
  const byNarrowNetwork = createSlidingWindow(NARROW_NETWORK_PER_MINUTE)
  const byWideNetwork = createSlidingWindow(WIDE_NETWORK_PER_MINUTE)
  const unprovenTotal = createSlidingWindow(TOTAL_PER_MINUTE)
  const provenTotal = createSlidingWindow(TOTAL_PER_MINUTE)
  const proven = new LRUCache<string, true>({ max: MAX_KEYS })
  return { begin, prove: (address) => { proven.set(address, true) }, isProven: (address) => proven.has(address) }

  function begin (address: string): Trial | Denied {
    const atMs = monotonicMs()
    const bounds = boundsOf(address)
    // The caller's own limits come first: it did not cause the total.
    for (const { key, whose, window } of bounds) {
      const waitMs = window.waitMs(key, atMs)
      if (waitMs > 0) return tooManyCredentials(whose, waitMs)
    }
    for (const { key, window } of bounds) window.add(key, atMs)
    let isOver = false
    return {
      ok: true,
      end (outcome) {
        if (!isOver && outcome === 'not-failed') for (const { key, window } of bounds) window.remove(key, atMs)
        isOver = true
      }
    }
  }

  function boundsOf (address: string): Bound[] {
    const own: Bound = { window: byAddress, key: address, whose: 'address' }
    if (proven.has(address)) return [own, { window: provenTotal, key: ALL, whose: 'all' }]
    const { narrow, wide } = networksOf(address)
    return [
      own,
      { window: byNarrowNetwork, key: narrow, whose: 'network' },
      { window: byWideNetwork, key: wide, whose: 'network' },
      { window: unprovenTotal, key: ALL, whose: 'all' }
    ]
  }
}

interface Bound {
  readonly window: SlidingWindow
  readonly key: string
  readonly whose: 'address' | 'network' | 'all'
}

/** Events of the last minute, by key. A token bucket would admit more than the limit within a burst. */
interface SlidingWindow {
  /** Milliseconds until the next event is admitted. */
  waitMs (key: string, atMs: number): number
  add (key: string, atMs: number): void
  /** Reverts an `add` of that time. */
  remove (key: string, atMs: number): void
}

function createSlidingWindow (limit: number): SlidingWindow {
  const times = new LRUCache<string, number[]>({ max: MAX_KEYS })
  return { waitMs, add: (key, atMs) => { times.set(key, [...recent(key, atMs), atMs]) }, remove }

  function waitMs (key: string, atMs: number): number {
    const within = recent(key, atMs)
    return within.length < limit ? 0 : (within[0] ?? atMs) + MINUTE_MS - atMs
  }

  function recent (key: string, atMs: number): number[] {
    return times.get(key)?.filter((each) => atMs - each < MINUTE_MS) ?? []
  }

  function remove (key: string, atMs: number): void {
    const known = times.get(key)
    const index = known?.lastIndexOf(atMs) ?? -1
    if (known !== undefined && index >= 0) times.set(key, known.filter((_, each) => each !== index))
  }
}
