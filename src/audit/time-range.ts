import {
  EARLIEST,
  NANOS_PER_MS,
  NANOS_PER_SECOND,
  floorToSecond,
  formatInstant,
  isWritable,
  maxInstant,
  parseInstant,
  type Instant
} from './instant.ts'

/** A range of time, both bounds inclusive. A missing bound means no limit. */
export interface TimeRange {
  readonly start?: Instant
  readonly end?: Instant
}

/** A bound as a caller writes it: absolute, or relative to now. */
export type TimeBound =
  | { readonly kind: 'at', readonly instant: Instant }
  | { readonly kind: 'ago', readonly seconds: number }

/** A range as it was requested, before "now" is known. Equal requests have equal ranges. */
export interface RequestedRange {
  readonly start: TimeBound | undefined
  readonly end: TimeBound | undefined
  /** Whether a missing `start` means no lower bound. Otherwise it means `DEFAULT_SPAN` before the end. */
  readonly unbounded: boolean
}

export const TIME_ADVICE =
  'time format not understood; use RFC 3339, e.g. 2024-01-01T00:00:00Z, or a relative time such as -15m, -6h, -7d ' +
    'or now'

const DEFAULT_SPAN = 24n * 3600n * NANOS_PER_SECOND
const RELATIVE = /^-(\d{1,9})([smhd])$/
const DATE = /^\d{4}-\d\d-\d\d$/
// A "+" in a query string that was not percent-encoded arrives as a space.
const SPACE_FOR_PLUS = /(?<=:\d\d(?:[.,]\d+)?) (?=\d\d:?\d\d$)/
const LONGEST_AGO_SECONDS = 10_000_000_000 // About 317 years.
const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 }

/**
 * Parses a relative time (`-90s`, `-15m`, `-6h`, `-7d`, `now`), a timestamp in any form that events may have, or a
 * date. A date means its midnight UTC. `undefined`: any other text.
 */
export function parseTimeBound (text: string): TimeBound | undefined {
  if (text === 'now') return { kind: 'ago', seconds: 0 }
  const [, count, unit] = RELATIVE.exec(text) ?? []
  if (unit !== undefined) {
    const seconds = Number(count) * SECONDS[unit as keyof typeof SECONDS]
    return seconds <= LONGEST_AGO_SECONDS ? { kind: 'ago', seconds } : undefined
  }
  const zoned = text.replace(SPACE_FOR_PLUS, '+')
  const instant = parseInstant(DATE.test(zoned) ? `${zoned}T00:00:00Z` : zoned)
  return instant === undefined || !isWritable(instant) ? undefined : { kind: 'at', instant }
}

/**
 * Resolves a requested range to absolute bounds. Relative bounds fall on whole seconds, as Kubiya's do, so that no row
 * at a bound is filtered out. The default start is counted from `earliest`, the time by the slower of two clocks. The
 * range then contains the last 24 hours, also if one clock is wrong.
 */
export function resolveRange (requested: RequestedRange, now: Instant, earliest: Instant = now): TimeRange {
  const end = requested.end === undefined ? undefined : resolveTimeBound(requested.end, now)
  if (requested.start !== undefined) return withEnd({ start: resolveTimeBound(requested.start, now) }, end)
  if (requested.unbounded) return withEnd({}, end)
  return withEnd({ start: maxInstant(EARLIEST, floorToSecond(end ?? earliest) - DEFAULT_SPAN) }, end)
}

function withEnd (range: TimeRange, end: Instant | undefined): TimeRange {
  return end === undefined ? range : { ...range, end }
}

/** Resolves a bound to an instant. */
export function resolveTimeBound (bound: TimeBound, now: Instant): Instant {
  return bound.kind === 'at' ? bound.instant : floorToSecond(now) - BigInt(bound.seconds) * NANOS_PER_SECOND
}

/** A key that is equal for equal requests: `-24h` and `-1440m` have the same key. */
export function rangeKey ({ end, start, unbounded }: RequestedRange): string {
  const key = (bound: TimeBound | undefined) =>
    bound === undefined ? '' : bound.kind === 'at' ? formatInstant(bound.instant) : `-${bound.seconds}s`
  // Without an end, the default start is 24 h ago. A request for that start is the same request.
  const defaultStart: TimeBound | undefined = end === undefined
    ? { kind: 'ago', seconds: Number(DEFAULT_SPAN / NANOS_PER_SECOND) }
    : undefined
  return `${unbounded && start === undefined ? '*' : key(start ?? defaultStart)}/${key(end)}`
}

/** Whether both bounds stay the same as time goes by, so that an answer about the past stays true. */
export function isAbsolute ({ end, start }: RequestedRange): boolean {
  return end?.kind === 'at' && start?.kind !== 'ago'
}

export function isWithin (instant: Instant, { end, start }: TimeRange): boolean {
  return (start === undefined || instant >= start) && (end === undefined || instant <= end)
}

/** Whether a range with this end is final: no event that enters Kubiya from `now` on can belong to it. */
export function isFinal (end: Instant | undefined, now: Instant, latenessMs: number): boolean {
  return end !== undefined && end < now - BigInt(latenessMs) * NANOS_PER_MS
}
