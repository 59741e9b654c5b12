import { TOO_MANY_CREDENTIALS, type Refusal } from './caller.ts'
import { createQuota } from './quota.ts'

const FAILURES_PER_MINUTE = 30
const FAILURES_OF_ALL_PER_MINUTE = 600
const MOST_ADDRESSES = 10_000
const ALL = ''

/** Bounds how many credentials that turn out to be none an address may have checked, where a check costs more than a look. */
export interface Trials {
  /** A refusal where this address, or all of them, have had too many. */
  stop (address: string): Refusal | undefined
  /** One was none. */
  failed (address: string): void
}

export function createTrials (nowMs: () => number): Trials {
  const own = createQuota(FAILURES_PER_MINUTE, MOST_ADDRESSES, nowMs)
  const all = createQuota(FAILURES_OF_ALL_PER_MINUTE, 1, nowMs)

  return {
    stop (address) {
      const waitMs = Math.max(own.waitMs(address, 1), all.waitMs(ALL, 1))
      return waitMs > 0 ? TOO_MANY_CREDENTIALS(waitMs) : undefined
    },
    failed (address) {
      own.spend(address, 1)
      all.spend(ALL, 1)
    }
  }
}
