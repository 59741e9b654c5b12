import { instantFromMs } from '../../src/audit/instant.ts'
import type { Sandbox } from '../../src/sandbox/sandbox.ts'
import type { Chance } from './chance.ts'
import { FAULTS, type FaultName } from './schedule.ts'
import type { Item, Truth } from './truth.ts'

export interface TrafficOptions {
  readonly sandbox: Sandbox
  readonly truth: Truth
  readonly chance: Chance
  /** No event is later than this. */
  readonly mostLateMs: number
  /** Share of the requests that fail, each in one of all the ways. */
  readonly faulty: number
}

/** What goes on at Kubiya, at random. */
export interface Traffic {
  /** A few events, seldom many or large ones; some of them late, of one instant, or equal to one another. */
  publish (): void
  /** Takes away what nobody asks for any more. */
  forget (): void
  /** Nothing fails from now on. */
  calm (): void
}

const MANY = { share: 0.004, count: 1000 }
const LARGE = { share: 0.002, count: 200, bytes: 20_000 }
const MOST_USUALLY = 4
const LATE = 0.2
const ONE_INSTANT = 0.05
const TWINS = 0.03
const APART_NANOS = 1000n
const FORGOTTEN_MS = 8 * 60_000

export function createTraffic ({ chance, faulty, mostLateMs, sandbox, truth }: TrafficOptions): Traffic {
  const shownMs = new Map<unknown, number>()
  const names = Object.keys(FAULTS) as FaultName[]
  for (const name of names) sandbox.faults.during({ ...FAULTS[name], when: () => chance.is(faulty / names.length) })

  return { publish, forget, calm: sandbox.faults.clear }

  function publish (): void {
    const isLarge = chance.is(LARGE.share)
    const count = isLarge ? LARGE.count : chance.is(MANY.share) ? MANY.count : chance.integer(0, MOST_USUALLY)
    const isOneInstant = chance.is(ONE_INSTANT)
    const newest = instantFromMs(Date.now() - 1 - (chance.is(LATE) ? chance.integer(0, mostLateMs) : 0))
    const items = truth.make(
      Array.from({ length: count }, (_, index) => newest - (isOneInstant ? 0n : APART_NANOS * BigInt(index))),
      isLarge ? LARGE.bytes : 0
    )
    // Exact duplicates further apart than a quarter of a page, as in a long instant, count as one.
    const shown = isOneInstant ? items : items.flatMap((item) => Array<Item>(chance.is(TWINS) ? 2 : 1).fill(item))
    truth.show(shown)
    sandbox.publish(shown)
    for (const { n } of items) shownMs.set(n, Date.now())
  }

  function forget (): void {
    const oldestMs = Date.now() - FORGOTTEN_MS
    sandbox.remove((item) => (shownMs.get((item as Item).n) ?? Infinity) < oldestMs)
  }
}
