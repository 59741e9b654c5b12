import type { Range } from './range.ts'
import { clockTime, dayOf, offsetMs, shortTime, type Zone } from './time-format.ts'

/** A label on a time axis. */
export interface TimeTick {
  readonly label: string
  /** Where it stands, as a part of the range: 0 at its start. */
  readonly part: number
}

const [SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS] = [1000, 60_000, 3_600_000, 86_400_000]
const STEPS_MS: readonly number[] = [
  ...[1, 2, 5, 10, 15, 30].map((seconds) => seconds * SECOND_MS),
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE_MS),
  ...[1, 2, 3, 6, 12].map((hours) => hours * HOUR_MS),
  ...[1, 2, 7, 14, 28, 91, 364].map((days) => days * DAY_MS)
]
const MOST_TICKS = 7
/** A label begins at its instant. Behind this part it has no room. */
const LAST_PART = 0.88
const MIDNIGHT = /^[0:]+$/

/** Round times of a range, at most seven. The first has its day. A midnight is the day alone. */
export function timeTicks ({ endMs, startMs }: Range, zone: Zone): readonly TimeTick[] {
  const width = endMs - startMs
  const stepMs = STEPS_MS.find((step) => width / step <= MOST_TICKS) ?? width
  const shift = offsetMs(startMs, zone)
  const firstMs = Math.ceil((startMs + shift) / stepMs) * stepMs - shift
  const ticks: TimeTick[] = []
  let day = ''
  for (let ms = firstMs; (ms - startMs) / width <= LAST_PART; ms += stepMs) {
    ticks.push({ label: labelOf(ms, day, stepMs, zone), part: (ms - startMs) / width })
    day = dayOf(ms, zone)
  }
  return ticks
}

function labelOf (ms: number, dayBefore: string, stepMs: number, zone: Zone): string {
  const day = dayOf(ms, zone)
  const time = stepMs >= MINUTE_MS ? shortTime(ms, zone) : clockTime(ms, zone).slice(0, 8)
  if (day === dayBefore) return time
  return MIDNIGHT.test(time) ? day.slice(5) : `${day.slice(5)} ${time}`
}
