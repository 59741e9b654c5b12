import { NANOS_PER_MS, parseInstant } from '../audit/instant.ts'

export type Zone = 'utc' | 'local'

/** Milliseconds since 1970 of a timestamp; `undefined` where it is none. */
export function msOf (timestamp: unknown): number | undefined {
  const instant = parseInstant(timestamp)
  return instant === undefined ? undefined : Number(instant / NANOS_PER_MS)
}

/** `14:05:09.123` */
export function clockTime (ms: number, zone: Zone): string {
  return iso(ms, zone).slice(11, 23)
}

/** `14:05` */
export function shortTime (ms: number, zone: Zone): string {
  return iso(ms, zone).slice(11, 16)
}

/** `2026-11-28` */
export function dayOf (ms: number, zone: Zone): string {
  return iso(ms, zone).slice(0, 10)
}

/** `2026-11-28 14:05:09` */
export function dateTime (ms: number, zone: Zone): string {
  return iso(ms, zone).slice(0, 19).replace('T', ' ')
}

/** The name of a zone at an instant: `UTC` or the browser's, such as `UTC+02:00`. */
export function zoneName (zone: Zone, ms: number): string {
  if (zone === 'utc') return 'UTC'
  const minutes = -new Date(ms).getTimezoneOffset()
  if (minutes === 0) return 'UTC'
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60]
  return `UTC${minutes < 0 ? '−' : '+'}${two(hours)}:${two(rest)}`
}

/** The value of an `<input type="datetime-local">`. */
export function inputTime (ms: number, zone: Zone): string {
  return iso(ms, zone).slice(0, 19)
}

/** The instant of such a value, RFC 3339; `undefined` where it is none. */
export function fromInputTime (value: string, zone: Zone): string | undefined {
  const ms = value === '' ? NaN : Date.parse(zone === 'utc' ? `${value}Z` : value)
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString()
}

/** A duration for people: `830 ms`, `12 s`, `4 min 5 s`, `3 h 20 min`, `2 d 4 h`. */
export function duration (seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`
  if (seconds < 60) return `${Math.round(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return pair(minutes, 'min', Math.floor(seconds % 60), 's')
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? pair(hours, 'h', minutes % 60, 'min') : pair(Math.floor(hours / 24), 'd', hours % 24, 'h')
}

const RELATIVE = /^-(\d+)([smhd])$/
const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** The instant of a time of the API (RFC 3339 or relative), milliseconds since 1970. */
export function resolveTime (time: string, nowMs: number): number | undefined {
  const [, count, unit = ''] = RELATIVE.exec(time) ?? []
  return count === undefined ? msOf(time) : nowMs - Number(count) * (UNIT_MS[unit] ?? 0)
}

/** How far the clocks of a zone are ahead of UTC at an instant. */
export function offsetMs (ms: number, zone: Zone): number {
  return zone === 'utc' ? 0 : new Date(ms).getTimezoneOffset() * -60_000
}

function iso (ms: number, zone: Zone): string {
  return new Date(ms + offsetMs(ms, zone)).toISOString()
}

function pair (large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`
}

function two (value: number): string {
  return String(value).padStart(2, '0')
}
