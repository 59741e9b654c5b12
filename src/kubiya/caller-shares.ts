import { LRUCache } from 'lru-cache'

export interface CallerSharesOptions {
  /** Requests for one caller within a minute; 0: no limit. */
  readonly perCaller: number
  /** What flows in, by bucket, and how much more than others a caller can be known to have had of it. */
  readonly flows: ReadonlyArray<{ readonly perMs: number, readonly mostLead: number }>
}

/** What each caller had lately of what all of them share. */
export interface CallerShares {
  asks (key: string, nowMs: number): void
  took (key: string, nowMs: number): void
  /** Requests that a caller had of a bucket beyond its part of the inflow. */
  lead (key: string, flow: number, nowMs: number): number
  /** How many other callers come before this one, as far as `most`. */
  countBefore (key: string, most: number, nowMs: number): number
  order (keys: Iterable<string>, nowMs: number): string[]
  /** How long until this caller's own limit lets it ask again. */
  ownWaitMs (key: string, nowMs: number): number
}

interface CallerShare {
  readonly leads: number[]
  atMs: number
  askedMs: number
  tookMs: number
  /** Requests left of its own limit, as of `leftMs`. */
  left: number
  leftMs: number
}

const MINUTE_MS = 60_000
// Who has not asked for so long shares no more. It is longer than the wait that a short day's bucket asks for.
const ACTIVE_MS = 2 * MINUTE_MS
const MOST_ACCOUNTS = 2000
const RECOUNT_MS = 1000

/**
 * Deficit round robin without a round: each request a caller takes puts it ahead, and its part of the inflow brings it
 * back. Who is least ahead comes next; of two equals, the one whose last turn is longer ago.
 */
export function createCallerShares ({ flows, perCaller }: CallerSharesOptions): CallerShares {
  const callerShares = new LRUCache<string, CallerShare>({ max: MOST_ACCOUNTS })
  let active = 0
  let countedMs = -Infinity
  return { asks, took, lead, countBefore, order, ownWaitMs }

  function asks (key: string, nowMs: number): void {
    const known = callerShares.get(key)
    if (known !== undefined) {
      known.askedMs = nowMs
      return
    }
    const leads = flows.map(() => 0)
    callerShares.set(key, { leads, atMs: nowMs, askedMs: nowMs, tookMs: -Infinity, left: perCaller, leftMs: nowMs })
    active++ // Until the next count.
  }

  function took (key: string, nowMs: number): void {
    asks(key, nowMs)
    const account = callerShares.get(key)
    if (account === undefined) return
    const settled = leadsOf(account, nowMs)
    flows.forEach(({ mostLead }, i) => { account.leads[i] = Math.min(mostLead, (settled[i] ?? 0) + 1) })
    account.left = leftOf(account, nowMs) - 1
    account.leftMs = nowMs
    account.atMs = nowMs
    account.tookMs = nowMs
  }

  function lead (key: string, flow: number, nowMs: number): number {
    const account = callerShares.peek(key)
    return account === undefined ? 0 : leadsOf(account, nowMs)[flow] ?? 0
  }

  function leadsOf ({ atMs, leads }: CallerShare, nowMs: number): number[] {
    const sharing = countActive(nowMs)
    return leads.map((each, i) => Math.max(0, each - Math.max(0, nowMs - atMs) * (flows[i]?.perMs ?? 0) / sharing))
  }

  function countActive (nowMs: number): number {
    if (nowMs - countedMs >= RECOUNT_MS) {
      countedMs = nowMs
      active = [...callerShares.values()].filter((account) => isActive(account, nowMs)).length
    }
    return Math.max(1, active)
  }

  function countBefore (key: string, most: number, nowMs: number): number {
    const own = rankOf(callerShares.peek(key), nowMs)
    let count = 0
    for (const [other, account] of callerShares.entries()) {
      if (count >= most) return most
      if (other === key || !isActive(account, nowMs) || ownWaitMs(other, nowMs) > 0) continue
      if (isBefore(rankOf(account, nowMs), own)) count++
    }
    return count
  }

  function order (keys: Iterable<string>, nowMs: number): string[] {
    const ranked = [...keys].map((key) => ({ key, rank: rankOf(callerShares.peek(key), nowMs) }))
    return ranked.sort((a, b) => isBefore(a.rank, b.rank) ? -1 : 1).map(({ key }) => key)
  }

  function rankOf (account: CallerShare | undefined, nowMs: number) {
    if (account === undefined) return { lead: 0, tookMs: -Infinity }
    return { lead: leadsOf(account, nowMs).reduce((sum, each) => sum + each, 0), tookMs: account.tookMs }
  }

  function ownWaitMs (key: string, nowMs: number): number {
    const account = perCaller === 0 ? undefined : callerShares.peek(key)
    return account === undefined ? 0 : Math.max(0, (1 - leftOf(account, nowMs)) * MINUTE_MS / perCaller)
  }

  function leftOf ({ left, leftMs }: CallerShare, nowMs: number): number {
    return Math.min(perCaller, left + Math.max(0, nowMs - leftMs) * perCaller / MINUTE_MS)
  }
}

function isActive ({ askedMs }: CallerShare, nowMs: number): boolean {
  return nowMs - askedMs < ACTIVE_MS
}

function isBefore (a: { lead: number, tookMs: number }, b: { lead: number, tookMs: number }): boolean {
  return a.lead === b.lead ? a.tookMs < b.tookMs : a.lead < b.lead
}
