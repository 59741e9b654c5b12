const SHAPE = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))?$/
const NS_PER_MS = 1_000_000n

/**
 * Nanoseconds since 1970 of an RFC 3339 text; a blank may stand for the `T`, and no zone means UTC.
 * Anything else is undefined.
 */
export function instantOf (text: unknown): bigint | undefined {
  const parts = typeof text === 'string' ? SHAPE.exec(text) : null
  if (parts === null) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.slice(1, 7).map(Number)
  const [fraction = '', sign, zoneHours = '0', zoneMinutes = '0'] = parts.slice(7)
  const midnightMs = midnight(year, month, day)
  const offsetMinutes = zoneOf(sign, Number(zoneHours), Number(zoneMinutes))
  const clockSeconds = clockOf(hour, minute, second)
  if (midnightMs === undefined || offsetMinutes === undefined || clockSeconds === undefined) return undefined
  const wholeMs = midnightMs + (clockSeconds - offsetMinutes * 60) * 1000
  return BigInt(wholeMs) * NS_PER_MS + BigInt(fraction.padEnd(9, '0'))
}

/** Nanoseconds since 1970 of a clock reading in milliseconds, whose fraction is dropped. */
export function instantOfMs (ms: number): bigint {
  return BigInt(Math.floor(ms)) * NS_PER_MS
}

function midnight (year: number, month: number, day: number): number | undefined {
  // Date.UTC would move the years 0 to 99 into the twentieth century.
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() : undefined
}

function clockOf (hour: number, minute: number, second: number): number | undefined {
  // RFC 3339 section 5.6 allows a leap second.
  return hour < 24 && minute < 60 && second < 61 ? hour * 3600 + minute * 60 + second : undefined
}

function zoneOf (sign: string | undefined, hours: number, minutes: number): number | undefined {
  if (hours > 23 || minutes > 59) return undefined
  return (sign === '-' ? -1 : 1) * (hours * 60 + minutes)
}
