import type { Chance } from '../oracle/chance.ts'

/** What requests, cursors, ids and answers are made of: sane parts, put together wrongly, and then changed. */

const NAMES = [
  'page',
  'page_size',
  'limit',
  'cursor',
  'start_time',
  'end_time',
  'sort_direction',
  'category_type',
  'category_name',
  'resource_type',
  'action_type',
  'session_id',
  'status',
  'text',
  'since',
  'timeout_minutes',
  'verbose',
  'ticket',
  'org',
  'filter',
  '__proto__',
  'constructor',
  'page[]',
  'category_type[$ne]',
  ''
] as const
const VALUES = [
  '1',
  '0',
  '-1',
  '1e9',
  '0x10',
  '9'.repeat(30),
  'NaN',
  'null',
  'true',
  '',
  ' ',
  'asc',
  'desc',
  'success',
  'failed',
  '-15m',
  '-999999999d',
  'now',
  '2024-01-01T00:00:00Z',
  '2024-13-01T00:00:00Z',
  '-0s',
  '9999-12-31T23:59:59.999999999Z',
  '$where',
  '{"$ne":1}',
  'é',
  '✅',
  '\ud800',
  '\0',
  'a'.repeat(3000),
  '%',
  '%zz',
  '..',
  '../..',
  '<script>',
  "' or 1=1",
  'agents'
] as const
const ITEMS = [{}, [], null, 1, 'text', { timestamp: 'x' }, { id: 1 }, { id: '../x', extra: null }, { __proto__x: 1 }, {
  timestamp: '2024-01-01T00:00:00Z',
  n: 1e308
}] as const

export function word (chance: Chance): string {
  return chance.is(0.2) ? noise(chance, 40) : chance.pick(VALUES)
}

export function query (chance: Chance): string {
  const parts = Array.from({ length: chance.integer(0, 5) }, () => {
    const name = chance.is(0.05) ? noise(chance, 10) : chance.pick(NAMES)
    const value = word(chance)
    return chance.is(0.9) ? `${encode(name)}=${encode(value)}` : `${name}=${value}`.replace(/[\s#]/g, '')
  })
  return parts.join(chance.is(0.95) ? '&' : ';')
}

/** Characters of all planes. */
export function noise (chance: Chance, most: number): string {
  return Array.from(
    { length: chance.integer(0, most) },
    () => String.fromCharCode(chance.integer(0, chance.is(0.8) ? 127 : 65_535))
  ).join('')
}

export function bytes (chance: Chance, most: number): Buffer {
  return Buffer.from(Array.from({ length: chance.integer(0, most) }, () => chance.integer(0, 255)))
}

/** A text that was right, and is so no more, mostly. */
export function damaged (chance: Chance, text: string): string {
  let changed = text
  for (let times = chance.integer(0, 4); times > 0; times--) {
    const at = chance.integer(0, changed.length)
    const length = chance.integer(0, 8)
    changed = changed.slice(0, at) + (chance.is(0.5) ? noise(chance, 4) : changed.slice(length, length * 2)) +
      changed.slice(at + length)
  }
  return changed
}

/** What an upstream may answer that means no good. */
export function answer (
  chance: Chance,
  right: string
): { status: number, headers: Record<string, string>, body: Buffer | string } {
  const json = { 'content-type': 'application/json' }
  switch (chance.integer(0, 11)) {
    case 0:
      return {
        status: chance.pick([200, 204, 301, 302, 400, 401, 403, 404, 418, 429, 500, 502, 503, 599]),
        headers: {
          ...json,
          location: 'http://127.0.0.1:1/',
          'retry-after': chance.pick(['0', '1', '-1', 'x', '99999'])
        },
        body: right
      }
    case 1:
      return { status: 200, headers: json, body: bytes(chance, 500) }
    case 2:
      return {
        status: 200,
        headers: json,
        body: JSON.stringify(Array.from({ length: chance.integer(0, 20) }, () => chance.pick(ITEMS)))
      }
    case 3:
      return { status: 200, headers: json, body: '['.repeat(chance.integer(1, 20_000)) }
    case 4:
      return {
        status: 200,
        headers: { ...json, 'content-encoding': chance.pick(['gzip', 'br', 'deflate', 'nonsense']) },
        body: right
      }
    case 5:
      return {
        status: 200,
        headers: {
          'content-type': 'text/html',
          date: 'yesterday',
          'x-ratelimit-remaining': chance.pick(['-1', '0', 'x']),
          'x-ratelimit-reset': word(chance).replace(/[^\x21-\x7e]/g, '')
        },
        body: '<html>'
      }
    case 6:
      return { status: 200, headers: json, body: `{"items":${right},"items":[]}` }
    case 7:
      return { status: 200, headers: { ...json, ...oddClock(chance) }, body: right }
    case 8:
      return { status: 200, headers: json, body: costly(chance) }
    default:
      return { status: 200, headers: json, body: damaged(chance, right) }
  }
}

const DAY_MS = 86_400_000

/** A clock that is wrong by up to ten years, and a rate limit that is spent until then. */
function oddClock (chance: Chance): Record<string, string> {
  const ms = Date.now() + chance.pick([-3650, -1, -0.01, 0.01, 1, 3650]) * DAY_MS
  return {
    date: new Date(ms).toUTCString(),
    'x-ratelimit-remaining': '0',
    'x-ratelimit-reset': String(Math.floor(ms / 1000))
  }
}

/** Texts that are small and cost much to read where the work grows faster than the bytes. */
function costly (chance: Chance): string {
  const length = chance.integer(1, 50_000)
  const text = chance.pick([
    `a${'\u0301'.repeat(length)}${'\u0323'.repeat(length)}`,
    '\ufdfa'.repeat(length),
    '\\'.repeat(length),
    '9'.repeat(length)
  ])
  const event = { timestamp: new Date().toISOString(), resource_text: text }
  switch (chance.integer(0, 4)) {
    case 0: return `[${JSON.stringify(event)}${' '.repeat(length)}x`
    case 1: return `[${'{},'.repeat(length)}{}]`
    case 2: return `[{"timestamp":"2024-01-01T00:00:00Z","extra":${'['.repeat(length)}${']'.repeat(length)}}]`
    case 3: return `[{${Array.from({ length }, (_, index) => `"k${index}":1`).join(',')}}]`
    default: return JSON.stringify([event])
  }
}

/** As it goes into a URL; half a character cannot. */
export function encode (text: string): string {
  return encodeURIComponent(text.replace(/[\ud800-\udfff]/g, '?'))
}
