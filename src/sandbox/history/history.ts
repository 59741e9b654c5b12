import { settledEntry, type Entry } from './entry.ts'
import { eventsOfHour, HOUR_MS } from './event-generator.ts'
import { instantOfMs } from '../instant.ts'
import type { Order } from '../query.ts'
import { walkRun, type Span } from './sorted-run.ts'

/** A generated past that grows: an event is visible from its instant on. */
export interface History {
  walk: (span: Span, order: Order) => Generator<Entry>
}

const FULL_HOURS = 24

/** The last 24 full hours and the current one. Each hour is generated when it is first read. */
export function createHistory (seed: number, upstreamNow: () => number): History {
  const told = new Map<number, Entry[]>()

  return { walk }

  function * walk (span: Span, order: Order): Generator<Entry> {
    const nowMs = upstreamNow()
    const newest = Math.floor(nowMs / HOUR_MS)
    const visible = { from: span.from, to: min(span.to, instantOfMs(nowMs)) }
    for (let step = 0; step <= FULL_HOURS; step++) {
      const hour = order === 1 ? newest - FULL_HOURS + step : newest - step
      if (touches(hour, visible)) yield * walkRun(entriesOf(hour, newest), visible, order)
    }
  }

  function entriesOf (hour: number, newest: number): Entry[] {
    const known = told.get(hour)
    if (known !== undefined) return known
    for (const old of told.keys()) {
      if (old < newest - FULL_HOURS || old > newest) told.delete(old)
    }
    const entries = eventsOfHour(seed, hour).map(settledEntry)
    told.set(hour, entries)
    return entries
  }
}

function touches (hour: number, { from, to }: Span): boolean {
  return instantOfMs(hour * HOUR_MS) <= to && instantOfMs((hour + 1) * HOUR_MS) > from
}

function min (a: bigint, b: bigint): bigint {
  return a < b ? a : b
}
