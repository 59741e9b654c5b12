/** An instant as nanoseconds since 1970-01-01T00:00:00Z. A `number` (and so `Date`) cannot represent them exactly. */
export type Instant = bigint

export const NANOS_PER_MS = 1_000_000n
export const NANOS_PER_SECOND = 1_000_000_000n

const TIMESTAMP =
  /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,30}))?(?: ?[Zz]|([+-])(\d\d):?(\d\d))?$/

/**
 * Parses a timestamp as Kubiya may write it: RFC 3339 with any offset and 0–9 fraction digits (more are cut). A space
 * may replace the `T`. Without an offset it is UTC. `undefined`: any other value.
 */
export function parseInstant (text: unknown): Instant | undefined {
  const parts = typeof text === 'string' && text.length <= 64 ? TIMESTAMP.exec(text) : null
  if (parts === null) return undefined
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHours = '0', offsetMinutes = '0'] = parts
  const date = new Date(0)
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day))
  const calendarHolds = date.getUTCMonth() === Number(month) - 1 && date.getUTCDate() === Number(day)
  // RFC 3339 §5.6 allows second 60; it becomes the first instant of the next minute, as POSIX counts.
  const clockHolds = Number(hour) <= 23 && Number(minute) <= 59 && Number(second) <= 60
  if (!calendarHolds || !clockHolds || Number(offsetHours) > 23 || Number(offsetMinutes) > 59) return undefined

  const offsetSeconds = (Number(offsetHours) * 60 + Number(offsetMinutes)) * (sign === '-' ? -60 : 60)
  const seconds = date.getTime() / 1000 + Number(hour) * 3600 + Number(minute) * 60 + Number(second) - offsetSeconds
  return BigInt(seconds) * NANOS_PER_SECOND + BigInt(fraction.slice(0, 9).padEnd(9, '0'))
}

/** RFC 3339 in UTC with as many fraction digits as the instant needs. */
export function formatInstant (instant: Instant): string {
  const second = floorToSecond(instant)
  const digits = (instant - second).toString().padStart(9, '0').replace(/0+$/, '')
  const whole = new Date(Number(second / NANOS_PER_MS)).toISOString().slice(0, -'.000Z'.length)
  return digits === '' ? `${whole}Z` : `${whole}.${digits}Z`
}

/** Converts milliseconds since 1970, as from `Date.now()`. Fractions are cut. */
export function instantFromMs (ms: number): Instant {
  return BigInt(Math.trunc(ms)) * NANOS_PER_MS
}

/** Converts to milliseconds since 1970. Fractions are cut. */
export function msFromInstant (instant: Instant): number {
  return Number(instant / NANOS_PER_MS)
}

export function floorToSecond (instant: Instant): Instant {
  const remainder = instant % NANOS_PER_SECOND
  return instant - (remainder < 0n ? remainder + NANOS_PER_SECOND : remainder)
}

export function ceilToSecond (instant: Instant): Instant {
  return -floorToSecond(-instant)
}

/** The first and last instant that RFC 3339 can represent: years 0000 to 9999. */
export const EARLIEST: Instant = -62_167_219_200n * NANOS_PER_SECOND
export const LATEST: Instant = 253_402_300_799n * NANOS_PER_SECOND

export function isWritable (instant: Instant): boolean {
  return instant >= EARLIEST && instant <= LATEST
}

export function minInstant (a: Instant, b: Instant): Instant {
  return a < b ? a : b
}

export function maxInstant (a: Instant, b: Instant): Instant {
  return a > b ? a : b
}
