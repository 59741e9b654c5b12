import type { UrlState } from './url-state.ts'
import { dateTime, resolveTime, zoneName, type Zone } from './time-format.ts'
import { PRESETS, WORDS } from './words.ts'

/** Where a list begins without a start. */
export const USUAL_START = '-24h'
const DAY_MS = 86_400_000
const LEAST_WIDTH_MS = 1000

export interface Range {
  readonly startMs: number
  readonly endMs: number
}

/** The instants of the range that the page shows. */
export function rangeOf ({ end, start }: Pick<UrlState, 'start' | 'end'>, nowMs: number): Range {
  const endMs = (end === undefined ? undefined : resolveTime(end, nowMs)) ?? nowMs
  const startMs = start === undefined ? undefined : resolveTime(start, nowMs)
  return { startMs: startMs ?? endMs - DAY_MS, endMs }
}

/** The part of the URL that holds a range of instants. An end that is not past stays open. */
export function writeRange ({ endMs, startMs }: Range, nowMs: number): Pick<UrlState, 'start' | 'end'> {
  return {
    start: new Date(startMs).toISOString(),
    end: endMs >= nowMs ? undefined : new Date(endMs).toISOString()
  }
}

/** A range beside this one, of the same width; by half a width at a time. */
export function moved ({ endMs, startMs }: Range, direction: -1 | 1): Range {
  const step = (endMs - startMs) / 2 * direction
  return { startMs: startMs + step, endMs: endMs + step }
}

/** A range around the same middle: half or twice as wide. A wider one ends no later than now. */
export function zoomed ({ endMs, startMs }: Range, factor: 0.5 | 2, nowMs: number): Range {
  const width = Math.max(LEAST_WIDTH_MS, (endMs - startMs) * factor)
  const middle = (startMs + endMs) / 2
  const newEnd = Math.min(middle + width / 2, Math.max(nowMs, endMs))
  return { startMs: newEnd - width, endMs: newEnd }
}

/** The range in words. */
export function rangeName ({ end, start }: Pick<UrlState, 'start' | 'end'>, zone: Zone, nowMs: number): string {
  const preset = PRESETS.find(([, time]) => time === (start ?? USUAL_START))
  if (preset !== undefined && end === undefined) return preset[0]
  const written = (time: string) => {
    const ms = resolveTime(time, nowMs)
    return ms === undefined ? time : dateTime(ms, zone)
  }
  const ends = end === undefined ? WORDS.untilNow : `– ${written(end)}`
  return `${written(start ?? USUAL_START)} ${ends} ${zoneName(zone, nowMs)}`
}
