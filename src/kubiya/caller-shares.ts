import { LRUCache } from 'lru-cache'
import { createTokenBucket, takeTokens, waitForTokens, type TokenBucket } from '../token-bucket.ts'

export interface CallerSharesOptions {
  /** Requests of one caller within a minute; 0: no limit. */
  readonly perCaller: number
  /** The inflow of each bucket, and the largest lead over other callers that is remembered for it. */
  readonly flows: ReadonlyArray<{ readonly perMs: number, readonly maxLead: number }>
}

/** What each caller recently took of the budget that all callers share. */
export interface CallerShares {
  asks (key: string, nowMs: number): void
  took (key: string, nowMs: number): void
  /** Requests that a caller took from a bucket beyond its part of the inflow. */
  lead (key: string, flow: number, nowMs: number): number
  /** How many other callers come before this one; counts up to `most`. */
  countBefore (key: string, most: number, nowMs: number): number
  order (keys: Iterable<string>, nowMs: number): string[]
  /** Milliseconds until the caller's own limit admits its next request. */
  ownWaitMs (key: string, nowMs: number): number
}

interface CallerShare {
  readonly leads: number[]
  atMs: number
  askedMs: number
  tookMs: number
  /** The caller's own limit. */
  readonly own: TokenBucket
}

const MINUTE_MS = 60_000
// A caller that has not asked for so long has no share. It is longer than the wait for a request in a day's bucket.
const ACTIVE_MS = 2 * MINUTE_MS
const MAX_CALLERS = 2000
const RECOUNT_MS = 1000

/**
 * Deficit round robin without rounds: each request puts its caller ahead, and the caller's part of the inflow brings it
 * back. The caller that is least ahead comes next. Of two equals, the one whose last turn is longer ago comes first.
 */
export function createCallerShares ({ flows, perCaller }: CallerSharesOptions): CallerShares {
  const shares = new LRUCache<string, CallerShare>({ max: MAX_CALLERS })
  const ownRate = { capacity: perCaller, refill: perCaller, spanMs: MINUTE_MS }
  let active = 0
  let countedMs = -Infinity
  return { asks, took, lead, countBefore, order, ownWaitMs }

  function asks (key: string, nowMs: number): void {
    const known = shares.get(key)
    if (known !== undefined) {
      known.askedMs = nowMs
      return
    }
    const leads = flows.map(() => 0)
    shares.set(key, { leads, atMs: nowMs, askedMs: nowMs, tookMs: -Infinity, own: createTokenBucket(ownRate) })
    active++ // Until the next count.
  }

  function took (key: string, nowMs: number): void {
    asks(key, nowMs)
    const share = shares.get(key)
    if (share === undefined) return
    const settled = leadsOf(share, nowMs)
    flows.forEach(({ maxLead }, i) => { share.leads[i] = Math.min(maxLead, (settled[i] ?? 0) + 1) })
    if (perCaller > 0) takeTokens(share.own, 1, nowMs)
    share.atMs = nowMs
    share.tookMs = nowMs
  }

  function lead (key: string, flow: number, nowMs: number): number {
    const share = shares.peek(key)
    return share === undefined ? 0 : leadsOf(share, nowMs)[flow] ?? 0
  }

  function leadsOf ({ atMs, leads }: CallerShare, nowMs: number): number[] {
    const sharing = countActive(nowMs)
    return leads.map((each, i) => Math.max(0, each - Math.max(0, nowMs - atMs) * (flows[i]?.perMs ?? 0) / sharing))
  }

  function countActive (nowMs: number): number {
    if (nowMs - countedMs >= RECOUNT_MS) {
      countedMs = nowMs
      active = [...shares.values()].filter((share) => isActive(share, nowMs)).length
    }
    return Math.max(1, active)
  }

  function countBefore (key: string, most: number, nowMs: number): number {
    const own = rankOf(shares.peek(key), nowMs)
    let count = 0
    for (const [other, share] of shares.entries()) {
      if (count >= most) return most
      if (other === key || !isActive(share, nowMs) || ownWaitMs(other, nowMs) > 0) continue
      if (isBefore(rankOf(share, nowMs), own)) count++
    }
    return count
  }

  function order (keys: Iterable<string>, nowMs: number): string[] {
    const ranked = [...keys].map((key) => ({ key, rank: rankOf(shares.peek(key), nowMs) }))
    return ranked.sort((a, b) => isBefore(a.rank, b.rank) ? -1 : 1).map(({ key }) => key)
  }

  function rankOf (share: CallerShare | undefined, nowMs: number) {
    if (share === undefined) return { lead: 0, tookMs: -Infinity }
    return { lead: leadsOf(share, nowMs).reduce((sum, each) => sum + each, 0), tookMs: share.tookMs }
  }

  function ownWaitMs (key: string, nowMs: number): number {
    const share = perCaller === 0 ? undefined : shares.peek(key)
    return share === undefined ? 0 : waitForTokens(share.own, 1, nowMs)
  }
}

function isActive ({ askedMs }: CallerShare, nowMs: number): boolean {
  return nowMs - askedMs < ACTIVE_MS
}

function isBefore (a: { lead: number, tookMs: number }, b: { lead: number, tookMs: number }): boolean {
  return a.lead === b.lead ? a.tookMs < b.tookMs : a.lead < b.lead
}
