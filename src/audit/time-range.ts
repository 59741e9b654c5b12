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

/** A stretch of time, both ends inclusive; a missing end is open. */
export interface TimeRange {
  readonly start?: Instant
  readonly end?: Instant
}

/** A bound as a caller writes it. */
export type TimeBound =
  | { readonly kind: 'at', readonly instant: Instant }
  | { readonly kind: 'ago', readonly seconds: number }

/** A window as it was asked for, before "now" was known: what equal questions have in common. */
export interface RequestedRange {
  readonly start: TimeBound | undefined
  readonly end: TimeBound | undefined
  /** Whether the window has no lower bound; otherwise a missing `start` means `DEFAULT_SPAN` before the end. */
  readonly unbounded: boolean
}

export const TIME_ADVICE =
  'time format not understood; use RFC 3339, e.g. 2024-01-01T00:00:00Z, or a relative time such as -15m, -6h, -7d ' +
    'or now'

const DEFAULT_SPAN = 24n * 3600n * NANOS_PER_SECOND
const RELATIVE = /^-(\d{1,9})([smhd])$/
const DATE = /^\d{4}-\d\d-\d\d$/
// "+" in a query string that was not escaped arrives as a blank.
const BLANK_FOR_PLUS = /(?<=:\d\d(?:[.,]\d+)?) (?=\d\d:?\d\d$)/
const LONGEST_AGO_SECONDS = 10_000_000_000 // Some 317 years.
const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 }

/**
 * Reads a relative time (`-90s`, `-15m`, `-6h`, `-7d`, `now`), every form in which an event may write its timestamp,
 * with the same meaning, or a date alone, which is its midnight UTC; `undefined` for anything else.
 */
export function parseTimeBound (text: string): TimeBound | undefined {
  if (text === 'now') return { kind: 'ago', seconds: 0 }
  const [, count, unit] = RELATIVE.exec(text) ?? []
  if (unit !== undefined) {
    const seconds = Number(count) * SECONDS[unit as keyof typeof SECONDS]
    return seconds <= LONGEST_AGO_SECONDS ? { kind: 'ago', seconds } : undefined
  }
  const zoned = text.replace(BLANK_FOR_PLUS, '+')
  const instant = parseInstant(DATE.test(zoned) ? `${zoned}T00:00:00Z` : zoned)
  return instant === undefined || !isWritable(instant) ? undefined : { kind: 'at', instant }
}

/**
 * The window that was meant, now. Relative bounds fall on whole seconds, as Kubiya's do, so that none of its rows has
 * to be refused at their edge. The usual start is counted from `earliest`, now by the clock that is behind: whichever
 * clock is wrong, the window holds the last 24 hours.
 */
export function resolveRange (asked: RequestedRange, now: Instant, earliest: Instant = now): TimeRange {
  const end = asked.end === undefined ? undefined : resolveTimeBound(asked.end, now)
  if (asked.start !== undefined) return withEnd({ start: resolveTimeBound(asked.start, now) }, end)
  if (asked.unbounded) return withEnd({}, end)
  return withEnd({ start: maxInstant(EARLIEST, floorToSecond(end ?? earliest) - DEFAULT_SPAN) }, end)
}

function withEnd (window: TimeRange, end: Instant | undefined): TimeRange {
  return end === undefined ? window : { ...window, end }
}

/** The instant that a bound means, now. */
export function resolveTimeBound (moment: TimeBound, now: Instant): Instant {
  return moment.kind === 'at' ? moment.instant : floorToSecond(now) - BigInt(moment.seconds) * NANOS_PER_SECOND
}

/** One text for equal questions: `-24h` and `-1440m` give the same. */
export function rangeKey (asked: RequestedRange): string {
  const key = (moment: TimeBound | undefined) =>
    moment === undefined ? '' : moment.kind === 'at' ? formatInstant(moment.instant) : `-${moment.seconds}s`
  // Without an end, the default start is 24 h ago, and asking for just that is the same question.
  const usual: TimeBound | undefined = asked.end === undefined
    ? { kind: 'ago', seconds: Number(DEFAULT_SPAN / NANOS_PER_SECOND) }
    : undefined
  return `${asked.unbounded && asked.start === undefined ? '*' : key(asked.start ?? usual)}/${key(asked.end)}`
}

/** Whether the window stays where it is as time goes by, so that an answer about its past stays true. */
export function isAbsolute (asked: RequestedRange): boolean {
  return asked.end?.kind === 'at' && asked.start?.kind !== 'ago'
}

export function isWithin (instant: Instant, window: TimeRange): boolean {
  return (window.start === undefined || instant >= window.start) && (window.end === undefined || instant <= window.end)
}

/** Whether nothing that enters Kubiya from `now` on can belong to the window, given how late events may enter. */
export function isFinal (end: Instant | undefined, now: Instant, latenessMs: number): boolean {
  return end !== undefined && end < now - BigInt(latenessMs) * NANOS_PER_MS
}
