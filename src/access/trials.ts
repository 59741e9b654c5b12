import { TOO_MANY_CREDENTIALS, type Refusal } from './caller.ts'
import { createQuota } from './quota.ts'

const FAILURES_PER_MINUTE = 30
const FAILURES_OF_ALL_PER_MINUTE = 600
const MOST_ADDRESSES = 10_000
const ALL = ''

/** Bounds how many credentials that turn out to be none an address may have checked, where a check costs more than a look. */
export interface Trials {
  /** Counts a check; a refusal where this address, or all of them, have had too many. */
  begin (address: string): Refusal | undefined
  /** The credential was one, or nobody knows: it does not count. */
  forgive (address: string): void
}

export function createTrials (nowMs: () => number): Trials {
  const own = createQuota(FAILURES_PER_MINUTE, MOST_ADDRESSES, nowMs)
  const all = createQuota(FAILURES_OF_ALL_PER_MINUTE, 1, nowMs)
  return { begin, forgive: (address) => count(address, -1) }

  function begin (address: string): Refusal | undefined {
    const waitMs = Math.max(own.waitMs(address, 1), all.waitMs(ALL, 1))
    if (waitMs > 0) return TOO_MANY_CREDENTIALS(waitMs)
    count(address, 1)
    return undefined
  }

  function count (address: string, checks: number): void {
    own.spend(address, checks)
    all.spend(ALL, checks)
  }
}
