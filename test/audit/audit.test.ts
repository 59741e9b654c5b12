import { inspect, isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import {
  MOST_DELIVERED_RANGES,
  decodeCursor,
  encodeCursor,
  type Cursor,
  type LogCursor,
  type PageCursor
} from '../../src/audit/cursor.ts'
import {
  AuditFilter,
  FILTER_FIELDS,
  MOST_FILTER_BYTES,
  compileFilter,
  filterBytes,
  filterKey,
  isJudgedHere,
  pickFilter
} from '../../src/audit/filter.ts'
import { identify, identifyAs, isPossibleId, parseComputedId } from '../../src/audit/event-id.ts'
import {
  EARLIEST,
  LATEST,
  NANOS_PER_SECOND,
  ceilToSecond,
  minInstant,
  floorToSecond,
  formatInstant,
  instantFromMs,
  isWritable,
  maxInstant,
  msFromInstant,
  parseInstant,
  type Instant
} from '../../src/audit/instant.ts'
import {
  ExactNumber,
  extentOf,
  isJsonObject,
  parseJson,
  scalarText,
  writeJson,
  type Json,
  type JsonObject
} from '../../src/audit/exact-json.ts'
import { compareSortKeys, compareKeyedEvents, isAfter, withSortKeys, type SortKey } from '../../src/audit/sort-key.ts'
import type { Direction } from '../../src/audit/source.ts'
import { isUsableId, isPathSafe, upstreamId } from '../../src/audit/upstream-id.ts'
import {
  isAbsolute,
  isFinal,
  isWithin,
  parseTimeBound,
  resolveRange,
  rangeKey,
  type RequestedRange,
  type TimeBound,
  type TimeRange
} from '../../src/audit/time-range.ts'
import { anyCharacter, holds } from '../contracts/property.ts'

const TEN = at('2025-06-03T10:00:00Z')
const anyInstant = fc.bigInt({ min: EARLIEST, max: LATEST })

const anyFilter: fc.Arbitrary<AuditFilter> = fc.record({
  category_type: fc.string({ minLength: 1, unit: anyCharacter }),
  category_name: fc.constantFrom('a', 'b', 'a|b', 'a&b=c', 'a:b', 'nul\0', '"', '","', 'null', '\\'),
  resource_type: fc.constantFrom('a', 'b', '["a"]'),
  action_type: fc.constantFrom('a', 'b', '✅', 'עברית'),
  session_id: fc.string({ minLength: 1, maxLength: 3 }),
  email: fc.constantFrom('a', 'a@b.test', ''),
  tool_name: fc.constantFrom('a', 'a@b.test', '"'),
  status: fc.constantFrom('success' as const, 'failed' as const),
  text: fc.constantFrom('a', 'A', 'ß', '\u2028', '\ud800')
}, { requiredKeys: [], noNullPrototype: true })

function at (text: string): Instant {
  const instant = parseInstant(text)
  if (instant === undefined) throw new Error(`no instant: ${text}`)
  return instant
}

t.test('instant', async (t) => {
  t.test('an instant has full precision with 0 to 9 fraction digits, and further digits are cut', async (t) => {
    t.equal(TEN, BigInt(Date.UTC(2025, 5, 3, 10)) * 1_000_000n)
    const digits = '123456789'
    for (let count = 1; count <= 9; count++) {
      t.equal(
        at(`2025-06-03T10:00:00.${digits.slice(0, count)}Z`),
        TEN + BigInt(digits.slice(0, count).padEnd(9, '0')),
        `${count} digits`
      )
    }
    t.equal(at('2025-06-03T10:00:00.123456789999999Z'), TEN + 123_456_789n)
    t.equal(at('2025-06-03T10:00:00,5Z'), TEN + 500_000_000n)
  })

  t.test('an instant may have any offset, and is UTC without one', async (t) => {
    for (
      const text of [
        '2025-06-03T10:00:00',
        '2025-06-03 10:00:00',
        '2025-06-03t10:00:00z',
        '2025-06-03 10:00:00 Z',
        '2025-06-03T10:00:00-00:00',
        '2025-06-03T12:30:00+02:30',
        '2025-06-03T12:30:00+0230',
        '2025-06-03T06:15:00-03:45',
        '2025-06-04T09:59:00+23:59',
        '2025-06-02T23:00:00-11:00'
      ]
    ) t.equal(parseInstant(text), TEN, text)
  })

  t.test('an instant may be in a leap second, in a leap year or at an end of the calendar', async (t) => {
    t.equal(at('2016-12-31T23:59:60Z'), at('2017-01-01T00:00:00Z'))
    t.equal(at('2016-12-31T23:59:60.5Z'), at('2017-01-01T00:00:00.5Z'))
    t.equal(at('2024-02-29T00:00:00Z'), BigInt(Date.UTC(2024, 1, 29)) * 1_000_000n)
    t.equal(at('0000-01-01T00:00:00Z'), EARLIEST)
    t.equal(at('9999-12-31T23:59:59Z'), LATEST)
    t.equal(at('0050-01-01T00:00:00Z'), BigInt(Date.parse('0050-01-01T00:00:00Z')) * 1_000_000n)
    t.equal(at('1969-12-31T23:59:59.999999999Z'), -1n)
  })

  t.test('an instant is undefined for any other text', async (t) => {
    for (
      const text of [
        '',
        'yesterday',
        '2025-06-03',
        '2025-02-29T00:00:00Z',
        '1900-02-29T00:00:00Z',
        '2025-00-01T00:00:00Z',
        '2025-13-01T00:00:00Z',
        '2025-06-00T00:00:00Z',
        '2025-06-31T00:00:00Z',
        '2025-06-03T24:00:00Z',
        '2025-06-03T10:60:00Z',
        '2025-06-03T10:00:61Z',
        '2025-06-03T10:00:00.Z',
        '2025-06-03T10:00:00+24:00',
        '2025-06-03T10:00:00+01:60',
        '2025-06-03T10:00:00 02:00',
        ' 2025-06-03T10:00:00Z',
        '2025-06-03T10:00:00Z ',
        '2025-06-03T10:00:00Z\n',
        '-2025-06-03T10:00:00Z',
        '12025-06-03T10:00:00Z',
        '2025-06-03T10:00Z',
        '٢٠٢٥-06-03T10:00:00Z',
        `2025-06-03T10:00:00.${'1'.repeat(60)}Z`,
        1748944800,
        null,
        undefined,
        {},
        ['2025-06-03T10:00:00Z']
      ]
    ) t.equal(parseInstant(text), undefined, JSON.stringify(text))
  })

  t.test('an instant is the same after writing and reading', async (t) => {
    holds(t, fc.property(anyInstant, (instant) => parseInstant(formatInstant(instant)) === instant))
  })

  t.test('an instant follows the calendar for any date, time, fraction and offset', async (t) => {
    const pad = (value: number, width = 2) => String(value).padStart(width, '0')
    const date = fc.date({
      min: new Date('0002-01-01T00:00:00Z'),
      max: new Date('9998-12-31T00:00:00Z'),
      noInvalidDate: true
    })
    const offset = fc.integer({ min: -1439, max: 1439 })
    holds(t, fc.property(date, fc.stringMatching(/^\d{1,9}$/), offset, (date, fraction, minutes) => {
      const zone = `${minutes < 0 ? '-' : '+'}${pad(Math.trunc(Math.abs(minutes) / 60))}:${pad(Math.abs(minutes) % 60)}`
      const wholeMs = Math.floor(date.getTime() / 1000) * 1000
      const text = `${new Date(wholeMs).toISOString().slice(0, 19)}.${fraction}${zone}`
      return parseInstant(text) === BigInt(wholeMs - minutes * 60_000) * 1_000_000n + BigInt(fraction.padEnd(9, '0'))
    }))
  })

  t.test('an instant is written with only the fraction digits that it needs', async (t) => {
    t.equal(formatInstant(TEN), '2025-06-03T10:00:00Z')
    t.equal(formatInstant(TEN + 500_000_000n), '2025-06-03T10:00:00.5Z')
    t.equal(formatInstant(TEN + 1n), '2025-06-03T10:00:00.000000001Z')
    t.equal(formatInstant(-1n), '1969-12-31T23:59:59.999999999Z')
    t.equal(formatInstant(EARLIEST), '0000-01-01T00:00:00Z')
  })

  t.test('instants are ordered by value, not by text', async (t) => {
    for (const [before, after] of [
      ['2025-06-03T10:00:00Z', '2025-06-03T10:00:00.5Z'],
      ['2025-06-03T10:00:00.100Z', '2025-06-03T10:00:00.100000001Z'],
      ['2025-06-03T02:00:00+02:00', '2025-06-03T00:30:00Z'],
      ['2025-06-03T10:00:00.999999Z', '2025-06-03T10:00:00.9999991Z'],
      ['2025-06-03T10:00:01', '2025-06-03 10:00:02']
    ] as const) t.ok(at(before) < at(after), `${before} < ${after}`)
    t.equal(minInstant(1n, 2n), 1n)
    t.equal(maxInstant(1n, 2n), 2n)
  })

  t.test('an instant is rounded outward to whole seconds, also before 1970', async (t) => {
    t.equal(floorToSecond(-1n), -NANOS_PER_SECOND)
    t.equal(ceilToSecond(-1n), 0n)
    t.equal(floorToSecond(-NANOS_PER_SECOND), -NANOS_PER_SECOND)
    t.equal(ceilToSecond(1n), NANOS_PER_SECOND)
    t.equal(ceilToSecond(NANOS_PER_SECOND), NANOS_PER_SECOND)
    holds(t, fc.property(anyInstant, (instant) => {
      const [floor, ceil] = [floorToSecond(instant), ceilToSecond(instant)]
      return floor <= instant && instant <= ceil && floor % NANOS_PER_SECOND === 0n && ceil % NANOS_PER_SECOND === 0n &&
        instant - floor < NANOS_PER_SECOND && ceil - instant < NANOS_PER_SECOND
    }))
  })

  t.test('an instant converts from and to milliseconds', async (t) => {
    t.equal(instantFromMs(1_748_944_800_123.9), 1_748_944_800_123_000_000n)
    t.equal(msFromInstant(TEN + 999_999n), Date.UTC(2025, 5, 3, 10))
    holds(t, fc.property(fc.integer(), (ms) => msFromInstant(instantFromMs(ms)) === ms))
  })

  t.test('an instant is writable from year 0000 to 9999', async (t) => {
    t.same([EARLIEST - 1n, EARLIEST, LATEST, LATEST + 1n].map(isWritable), [false, true, true, false])
  })
})

t.test('JSON', async (t) => {
  t.test('parseJson keeps the source of numbers that a double cannot represent', async (t) => {
    for (
      const number of [
        '9007199254740993',
        '-9007199254740993',
        '123456789012345678901234567890',
        '0.1234567890123456789',
        '1.7976931348623157e309',
        '1e400',
        '-1E+400',
        '1e-400',
        '9007199254740993e-3',
        '0.30000000000000000001'
      ]
    ) {
      t.equal(writeJson(parseJson(number)), number, number)
      t.equal(writeJson(parseJson(`{"deep":[{"n":${number}}]}`)), `{"deep":[{"n":${number}}]}`)
      t.ok(parseJson(number) instanceof ExactNumber, number)
      for (const before of ['', ' ', '\t', '\n', '\r\n', '1,', '1 ,\n  ', '[],', '"a",']) {
        const canonical = `[${before}${number}]`.replace(/\s/g, '')
        t.equal(writeJson(parseJson(`[${before}${number} ]`)), canonical, JSON.stringify(before))
      }
    }
    for (const number of ['0', '-1.5', '1e3', '123456789012345', '0.1']) {
      t.equal(typeof parseJson(number), 'number', number)
    }
  })

  t.test('parseJson leaves a text as it is that looks like a number', async (t) => {
    const texts = ['9007199254740993', ' 1e400', ':1e400', '[0.12345678901234567,', '3e12', 'ab 123456789012345678']
    const value = Object.fromEntries(texts.map((text) => [text, [text]]))
    t.same(parseJson(JSON.stringify(value)), value)
    t.same(parseJson(JSON.stringify(value, null, 2)), value)
  })

  t.test('writeJson writes any name as JSON does, however many there are', async (t) => {
    const names = ['', '"', '\\', '\n', '\ud800', '__proto__', 'é', 'x'.repeat(101)]
    const many = Array.from({ length: 6000 }, (_, n) => `n${n}`)
    for (let times = 0; times < 2; times++) {
      for (const name of [...names, ...many]) {
        const written = `{${JSON.stringify(name)}:1}`
        if (writeJson(parseJson(written)) !== written) t.fail(written)
      }
    }
    t.equal(writeJson(parseJson('{"b":1,"a\\"":2}')), '{"a\\"":2,"b":1}')
  })

  t.test('parseJson keeps the value of every number', async (t) => {
    const number = fc.stringMatching(/^-?(0|[1-9]\d{0,24})(\.\d{1,24})?([eE][+-]?\d{1,3})?$/)
    holds(t, fc.property(number, (text) => decimal(writeJson(parseJson(`[${text}]`)).slice(1, -1)) === decimal(text)), {
      numRuns: 2000
    })
  })

  t.test('JSON is the same value after writing and reading', async (t) => {
    holds(t, fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value)
      const canonical = writeJson(parseJson(text))
      return isDeepStrictEqual(JSON.parse(canonical), JSON.parse(text)) && writeJson(parseJson(canonical)) === canonical
    }))
  })

  t.test('writeJson gives one text for equal values, whatever the order of keys and the spaces', async (t) => {
    t.equal(
      writeJson(parseJson('{ "b" : [ 1.50 , null ] , "a" : true, "é": "\\u00e9" }')),
      '{"a":true,"b":[1.5,null],"é":"é"}'
    )
    holds(
      t,
      fc.property(fc.jsonValue(), (value) => {
        const other = JSON.stringify(shuffled(value as Json), undefined, 2)
        return writeJson(parseJson(other)) === writeJson(parseJson(JSON.stringify(value)))
      })
    )
  })

  t.test('writeJson gives different texts for different values', async (t) => {
    const texts = [
      'null',
      '"null"',
      '[]',
      '{}',
      '[[]]',
      '["a,b"]',
      '["a","b"]',
      '{"a":1}',
      '{"a":"1"}',
      '0',
      '""',
      '[null]',
      '9007199254740993',
      '"9007199254740993"',
      '9007199254740992'
    ]
    t.equal(new Set(texts.map((text) => writeJson(parseJson(text)))).size, texts.length)
  })

  t.test('parseJson reads __proto__ as a plain key, and Object.prototype is unchanged', async (t) => {
    for (const number of ['1', '12345678901234567890']) {
      const text = `{"__proto__":{"polluted":${number}},"constructor":{"prototype":{"polluted":1}}}`
      const parsed = parseJson(text)
      t.equal(writeJson(parsed), text)
      t.ok(Object.hasOwn(parsed as JsonObject, '__proto__'))
      t.equal(({} as Record<string, unknown>).polluted, undefined)
    }
  })

  t.test('JSON keeps lone surrogates and control characters', async (t) => {
    for (const text of ['"\\ud800"', '"a\\udc00b"', '{"\\ud83d":"\\u0000"}', '["\\ud800",12345678901234567890]']) {
      t.equal(writeJson(parseJson(text)), text)
    }
    t.equal(writeJson(parseJson('"\\ud83d\\ude00"')), '"😀"')
  })

  t.test('parseJson reads deep nesting next to an exact number, and that number too', async (t) => {
    const text = `[${'['.repeat(3000)}9007199254740993${']'.repeat(3000)},{"n":9007199254740993}]`
    let [inner, beside] = parseJson(text) as Json[]
    t.equal(writeJson(beside ?? null), '{"n":9007199254740993}')
    while (Array.isArray(inner)) inner = inner[0]
    t.same(inner, new ExactNumber('9007199254740993'))
  })

  t.test('parseJson reads a string of 5 MB next to an exact number', async (t) => {
    const long = 'x1234567890123456 "quoted" \\ '.repeat(175_000)
    const text = `{"long":${JSON.stringify(long)},"n":12345678901234567890}`
    const parsed = parseJson(text) as JsonObject
    t.equal(parsed.long, long)
    t.equal(writeJson(parsed).length, text.length)
  })

  t.test('parseJson never reads the text of an event as a number', async (t) => {
    const uuid = '123e4567-e89b-42d3-a456-426614174000'
    const value = {
      a: `${uuid}:12345678901234567890`,
      b: '12345678901234567890',
      '12345678901234567890': 'c',
      d: '\\"12345678901234567890',
      e: '\u0000:1'
    }
    const text = JSON.stringify(value).slice(0, -1) + ',"n":12345678901234567890}'
    const { n, ...others } = parseJson(text) as JsonObject
    t.same(others, value)
    t.same(n, new ExactNumber('12345678901234567890'))
  })

  t.test('parseJson rejects invalid JSON, also next to exact numbers', async (t) => {
    for (
      const text of [
        '',
        '{',
        '[1,]',
        '01',
        '[012345678901234567890]',
        '[1234567890123456.]',
        '{"a":12345678901234567890',
        'NaN',
        '<html>',
        "{'a':1}",
        '1e',
        '[+1234567890123456]'
      ]
    ) {
      t.throws(() => parseJson(text), SyntaxError, text)
    }
  })

  t.test('JSON: isJsonObject, scalarText and extentOf', async (t) => {
    t.same(['x', 1.5, true, false, new ExactNumber('1e400'), null, undefined, [], {}].map(scalarText),
      ['x', '1.5', 'true', 'false', '1e400', undefined, undefined, undefined, undefined])
    t.same([{}, [], null, 'x', new ExactNumber('1')].map(isJsonObject), [true, false, false, false, false])
    t.same(extentOf('{"a[":["{",{}]}'), { depth: 3, values: 5 })
    t.equal(extentOf('['.repeat(50_000) + ']'.repeat(50_000)).depth, 50_000)
  })

  t.test('writeJson is canonical at any depth', async (t) => {
    const nested = (depth: number) => `${'{"b":2,"a":[1,'.repeat(depth)}null${']}'.repeat(depth)}`
    const sorted = (depth: number) => `${'{"a":[1,'.repeat(depth)}null${'],"b":2}'.repeat(depth)}`
    for (const depth of [1, 99, 100, 101, 5000, 50_000]) {
      t.ok(writeJson(parseJson(nested(depth))) === sorted(depth), String(depth))
    }
  })
})

t.test('event id', async (t) => {
  t.test('an upstream id is the first usable value of the known fields', async (t) => {
    for (
      const [item, id] of [
        [{ id: 'abc' }, 'abc'],
        [{ audit_id: 'abc' }, 'abc'],
        [{ event_id: 'abc' }, 'abc'],
        [{ _id: 'abc' }, 'abc'],
        [{ _id: 'd', event_id: 'c', audit_id: 'b', id: 'a' }, 'a'],
        [{ id: null, audit_id: 'b' }, 'b'],
        [{ id: ' no good', _id: 'd' }, 'd'],
        [{ id: 0 }, '0'],
        [{ id: -5 }, '-5'],
        [{ id: 42 }, '42'],
        [{ id: new ExactNumber('12345678901234567890') }, '12345678901234567890'],
        [{ id: 'a b' }, 'a b'],
        [{ id: 'é' }, 'é'],
        [{ id: 'a/b' }, 'a/b'],
        [{ id: 'A-z_0.9:~' }, 'A-z_0.9:~'],
        [{ id: 'x'.repeat(200) }, 'x'.repeat(200)],
        [{ id: '...' }, '...'],
        [{ id: 'Search' }, 'Search'],
        [{ id: 'kab2.x' }, 'kab2.x']
      ] as Array<[JsonObject, string]>
    ) {
      t.equal(upstreamId(item), id)
      t.equal(idOf(item), id)
    }
  })

  t.test('an upstream id is unusable if it is empty, another path, reserved, unwritable or no integer', async (t) => {
    for (const id of [
      '', ' ', ' a', 'a\u00a0', '\ufeffa', 'x'.repeat(201), '\u{1F600}'.repeat(101), 'search', 'kab1.', 'kab1.0.x',
      '../x', '.', '..', '/a', 'a/', 'a//b', '\\', 'a\\', 'a/./b', 'a\\..',
      '%2e', '%2E%2e', 'a%2F', '%5ca', 'a/%2e%2e', '%2e%2e%2f%', 'a%2f%2fé%zz',
      'a\n', 'a\0b', '\x7fa', 'a\u0085b', '\ud800', 'a\udc00b', '1'.repeat(201), new ExactNumber('1'.repeat(201)),
      1.5, 2 ** 60, true, null, {}, ['a'],
      new ExactNumber('1e400'), new ExactNumber('1234567890123456.5')
    ] as Json[]) {
      t.equal(upstreamId({ id }), undefined, JSON.stringify(id))
      t.ok(parseComputedId(idOf({ id })))
    }
    t.equal(upstreamId(Object.create({ id: 'inherited' }) as JsonObject), undefined)
  })

  t.test('equal upstream ids stay equal for equal and for different items', async (t) => {
    t.same(identify([{ id: 'a', n: 1 }, { id: 'a', n: 2 }]).map(({ id }) => id), ['a', 'a'])
  })

  t.test('a computed id does not depend on other items, the order of keys or white space', async (t) => {
    const others = fc.array(fc.record({ n: fc.integer(), timestamp: fc.constantFrom('2025-06-03T09:14:07Z', 'x') }))
    holds(t, fc.property(others, others, (before, after) =>
      identify([...before, shuffled(ITEM) as JsonObject, ...after])[before.length]?.id === idOf(ITEM)))
    t.equal(idOf(parseJson(JSON.stringify(ITEM, undefined, 4)) as JsonObject), idOf(ITEM))
  })

  t.test('a computed id is the same as in earlier versions, so that stored ids still find their events', async (t) => {
    t.equal(idOf({ timestamp: '2025-06-03T10:00:00Z', n: 1 }), 'kab1.1748944800000000000.NngJac1ZAO4YoXq4Ad6lLe')
  })

  t.test('a computed id differs if any field differs, is missing or is added', async (t) => {
    const fields = Object.keys(ITEM)
    holds(t, fc.property(fc.constantFrom(...fields), fc.jsonValue(), (field, value) => {
      const changed = { ...ITEM, [field]: value as Json }
      return (idOf(changed) === idOf(ITEM)) === (writeJson(changed) === writeJson(ITEM))
    }))
    const variants = [
      ITEM,
      ...fields.map((field) => Object.fromEntries(Object.entries(ITEM).filter(([name]) => name !== field))),
      { ...ITEM, more: null },
      { ...ITEM, email: 'user2@acme.test' },
      { ...ITEM, extra: { ...ITEM.extra, nested: [{ deep: 2 }] } },
      { ...ITEM, resource_text: 'Cafe\u0301 ✅' },
      { ...ITEM, version: new ExactNumber('12345678901234567890') },
      { ...ITEM, version: new ExactNumber('12345678901234567891') }
    ]
    t.equal(new Set(variants.map(idOf)).size, variants.length)
  })

  t.test('a computed id contains the instant of the event, or says that there is none', async (t) => {
    t.same(parseComputedId(idOf(ITEM)), { instant: at(ITEM.timestamp), digest: idOf(ITEM).split('.')[2], ordinal: 1 })
    t.equal(parseComputedId(idOf({ ...ITEM, timestamp: '1969-12-31T23:59:59.5Z' }))?.instant, -500_000_000n)
    for (const timestamp of ['soon', null, 5, '9999-12-31T23:59:59.5Z']) {
      const [event] = identify([{ ...ITEM, timestamp }])
      t.equal(event?.instant, undefined)
      t.equal(parseComputedId(event?.id ?? '')?.instant, undefined)
      t.match(event?.id, /^kab1\.none\./)
    }
  })

  t.test('exact duplicates are numbered within one answer, never across answers', async (t) => {
    const ids = identify([ITEM, { ...ITEM, n: 1 }, shuffled(ITEM) as JsonObject, ITEM]).map(({ id }) => id)
    t.same([ids[2], ids[3]], [`${ids[0]}.2`, `${ids[0]}.3`])
    t.same(ids.map((id) => parseComputedId(id)?.ordinal), [1, 1, 2, 3])
    t.equal(idOf(ITEM), ids[0])
  })

  t.test('a computed id is URL-safe and passes as a parameter', async (t) => {
    holds(t, fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (fields) => {
      const { id: _id, audit_id: _audit, event_id: _event, ...item } = fields
      const [first, second] = identify([item as JsonObject, item as JsonObject])
      return [first?.id ?? '', second?.id ?? ''].every((id) => isPossibleId(id) && encodeURIComponent(id) === id)
    }))
    t.ok([idOf(ITEM), 'abc', 'a:b~c', '..a', 'a/b', 'a b', 'é', '100%', 'a%2fb'].every(isPossibleId))
    t.notOk(['', '.', '..', 'a//b', 'x'.repeat(201), 'a\0', 'a\n', '%2e', 'search', 'kab1.x'].some(isPossibleId))
  })

  t.test('an upstream id is published unchanged in a path, or is kept beside a computed id', async (t) => {
    const tricky = fc.constantFrom(
      ...'/\\.%25eEfFcC?#;:+ é\u2028\u202e😀\ud800\0',
      '%2e',
      '%2F',
      '%5c',
      'search',
      'kab1.'
    )
    const anyId = fc.oneof(fc.string({ unit: anyCharacter, maxLength: 210 }), fc.string({ unit: tricky, maxLength: 12 }))
    holds(t, fc.property(anyId, (id) => {
      const [event] = identify([{ ...ITEM, id }])
      const { id: published, upstream_id: moved, ...rest } = JSON.parse(event?.json ?? '') as JsonObject
      if (event === undefined || published !== event.id || !isDeepStrictEqual(rest, ITEM)) return false
      if (isUsableId(id) !== isAllowed(id)) return false
      if (!isAllowed(id)) return moved === id && parseComputedId(event.id) !== undefined
      const path = `/items/${encodeURIComponent(id)}`
      return published === id && moved === undefined && isPossibleId(decodeURIComponent(path.slice(7))) &&
        decodeURIComponent(path.slice(7)) === id && path.length <= 1807 &&
        (!isPathSafe(id) || new URL(path, 'http://kubiya.test').pathname === path)
    }), { numRuns: 5000 })
  })

  t.test('an unusable id moves to a free name, and nothing else changes', async (t) => {
    const published = (item: JsonObject) => JSON.parse(identify([item])[0]?.json ?? '') as JsonObject
    for (const id of ['../x', '', ' a', 1.5, null, true, ['a'], { id: 'a' }] as Json[]) {
      const other = { audit_id: 'own', n: 1 }
      t.same(published({ ...other, id }), { ...other, id: 'own', upstream_id: id }, JSON.stringify(id))
      const { id: computed, ...rest } = published({ id, n: 1 })
      t.same(rest, { upstream_id: id, n: 1 }, JSON.stringify(id))
      t.ok(parseComputedId(String(computed)))
    }
    t.same(published({ id: '..', _id: 'a', upstream_id: 1 }), {
      id: 'a',
      _id: 'a',
      upstream_id: 1,
      upstream_id_2: '..'
    })
    const taken = { _id: 'a', upstream_id: 1, upstream_id_2: 2 }
    t.same(published({ ...taken, id: '..' }), { ...taken, id: 'a', upstream_id_3: '..' })
    t.same(
      published({ ...taken, id: 42, audit_id: '..' }),
      { ...taken, id: '42', audit_id: '..' },
      'one that counts stays'
    )
    const without = { audit_id: '..', n: 1 }
    t.same(published(without), { ...without, id: idOf(without) }, 'no id, nothing to move')
    const odd = parseJson('{"id":"..","__proto__":{"x":1}}') as JsonObject
    t.ok(identify([odd])[0]?.json.includes('"__proto__":{"x":1},"upstream_id":".."'))
    const twins = identify([{ id: '..', n: 1 }, { id: '..', n: 1 }])
    t.same(twins.map(({ json }) => (JSON.parse(json) as JsonObject).upstream_id), ['..', '..'])
  })

  t.test('a computed id depends on the unchanged item, including its unusable id', async (t) => {
    t.not(idOf({ ...ITEM, id: '../x' }), idOf({ ...ITEM, id: '../y' }))
    t.not(idOf({ ...ITEM, id: '../x' }), idOf({ ...ITEM, upstream_id: '../x' }))
    const item = { id: '../x', n: 1, timestamp: '2025-06-03T10:00:00Z' }
    t.equal(idOf(item), 'kab1.1748944800000000000.raFkOrSNFwNnb_xYlThe1i')
  })

  t.test('parseComputedId accepts computed ids only', async (t) => {
    const digest = 'A'.repeat(22)
    t.same(parseComputedId(`kab1.-5.${digest}.12`), { instant: -5n, digest, ordinal: 12 })
    for (
      const id of [
        '',
        'abc',
        `kab1.5.${digest}.1`,
        `kab1.5.${digest}.0`,
        `kab1.5.${digest}.02`,
        `kab1.05.${digest}`,
        `kab1.-0.${digest}`,
        `kab1.5.${digest}A`,
        'kab1.5.A',
        `kab1.${LATEST + 1n}.${digest}`,
        `kab1.${EARLIEST - 1n}.${digest}`,
        `kab1..${digest}`,
        `kab1.none.${digest}.`,
        `kab2.5.${digest}`,
        `kab1.5.${digest}\n`,
        `kab1.5.${digest}.99999999`
      ]
    ) t.equal(parseComputedId(id), undefined, id)
  })

  t.test('a published event has its id first, and all other fields unchanged', async (t) => {
    for (
      const item of [
        ITEM,
        {},
        { id: 'own', b: 1, a: 2 },
        { id: 'a/b c', a: 1 },
        { ID: 5 },
        JSON.parse('{"__proto__":{"id":"x"}}') as JsonObject
      ]
    ) {
      const [event] = identify([item])
      t.match(event?.json, /^\{"id":/)
      const published = JSON.parse(event?.json ?? '') as JsonObject
      t.equal(writeJson(published), writeJson({ ...item, id: event?.id ?? '' }))
    }
    t.equal(identify([{ n: new ExactNumber('1e400') }])[0]?.json.endsWith(',"n":1e400}'), true)
  })

  t.test('identifyAs sets the requested id, whatever id the item has', async (t) => {
    const event = identifyAs(ITEM, 'asked-1')
    t.same([event.id, event.instant], ['asked-1', at(ITEM.timestamp)])
    t.equal((JSON.parse(event.json) as JsonObject).id, 'asked-1')
    t.match(JSON.parse(identifyAs({ ...ITEM, id: '../x' }, 'asked-1').json), { id: 'asked-1', upstream_id: '../x' })
  })
})

t.test('filter', async (t) => {
  const matches = (filter: AuditFilter, item: JsonObject) => compileFilter(filter)(item)

  t.test('an empty filter accepts every event', async (t) => {
    t.ok([{}, ITEM, { extra: null }].every(compileFilter({})))
  })

  t.test('a filter compares each field exactly', async (t) => {
    for (const field of ['category_type', 'category_name', 'resource_type', 'action_type', 'email'] as const) {
      t.ok(matches({ [field]: 'x' }, { [field]: 'x' }), field)
      for (
        const item of [
          { [field]: 'X' },
          { [field]: 'xx' },
          { [field]: ' x' },
          { [field]: null },
          { [field]: ['x'] },
          {},
          { other: 'x' }
        ]
      ) {
        t.notOk(matches({ [field]: 'x' }, item), `${field} ${JSON.stringify(item)}`)
      }
      t.ok(matches({ [field]: '5' }, { [field]: 5 }))
    }
  })

  t.test('a filter requires all of its fields', async (t) => {
    t.ok(
      matches({ category_type: 'a', action_type: 'b', status: 'success' }, {
        category_type: 'a',
        action_type: 'b',
        action_successful: true
      })
    )
    t.notOk(matches({ category_type: 'a', action_type: 'b' }, { category_type: 'a', action_type: 'c' }))
  })

  t.test('a filter finds a session in `extra` or at the top level', async (t) => {
    t.ok(matches({ session_id: 's' }, { extra: { session_id: 's' } }))
    t.ok(matches({ session_id: 's' }, { session_id: 's', extra: null }))
    t.ok(matches({ session_id: 's' }, { session_id: 'other', extra: { session_id: 's' } }))
    t.ok(matches({ session_id: '7' }, { extra: { session_id: 7 } }))
    for (
      const item of [{}, { extra: 's' }, { extra: ['s'] }, { extra: { session_id: 'S' } }, {
        extra: { deep: { session_id: 's' } }
      }]
    ) {
      t.notOk(matches({ session_id: 's' }, item), JSON.stringify(item))
    }
  })

  t.test('a filter finds a tool in `extra` only', async (t) => {
    t.ok(matches({ tool_name: 'x' }, { extra: { tool_name: 'x' } }))
    t.ok(matches({ tool_name: '7' }, { extra: { tool_name: 7 } }))
    for (
      const item of [{}, { tool_name: 'x' }, { extra: 'x' }, { extra: null }, { extra: ['x'] }, {
        extra: { tool_name: 'X' }
      }, { extra: { deep: { tool_name: 'x' } } }]
    ) {
      t.notOk(matches({ tool_name: 'x' }, item), JSON.stringify(item))
    }
  })

  t.test('filterBytes counts the values as one JSON array in UTF-8', async (t) => {
    t.same([{}, { text: 'x' }, { text: 'é', email: 'é' }, { text: '\0' }].map(filterBytes), [2, 5, 11, 10])
  })

  t.test('a status filter ignores a missing, null or mistyped outcome', async (t) => {
    const statuses = (item: JsonObject) => [matches({ status: 'success' }, item), matches({ status: 'failed' }, item)]
    t.same(statuses({ action_successful: true }), [true, false])
    t.same(statuses({ action_successful: false }), [false, true])
    for (const item of [{}, { action_successful: null }, { action_successful: 'true' }, { action_successful: 0 }]) {
      t.same(statuses(item), [false, false])
    }
  })

  t.test('a text filter finds values of every field, also nested ones', async (t) => {
    const item = {
      a: 'One',
      b: { c: ['two', { d: 'three' }] },
      n: 42,
      big: new ExactNumber('12345678901234567890'),
      yes: true
    }
    for (const text of ['one', 'TWO', 'hre', '42', '345678901234567', 'true', 'e']) t.ok(matches({ text }, item), text)
    for (const text of ['one two', 'four', 'null', 'onetwo', '[', '"']) t.notOk(matches({ text }, item), text)
  })

  t.test('a text filter does not search names of fields', async (t) => {
    const item = { needle: 1, extra: { needle: { needle: [null] } } }
    t.notOk(matches({ text: 'needle' }, item))
    t.notOk(matches({ text: 'source' }, { n: new ExactNumber('1e400') }))
  })

  t.test('a text filter ignores case in every script, and accepts composed and decomposed accents', async (t) => {
    for (
      const [text, held] of [
        ['CAFÉ', 'un café'],
        ['cafe\u0301', 'Un CAFÉ'],
        ['café', 'cafe\u0301'],
        ['עברית', 'שלום עברית'],
        ['✅', 'done ✅'],
        ['STRASSE', 'straße'],
        ['straße', 'STRASSE'],
        ['ß', 'ß'],
        ['ẞ', 'ß'],
        ['ß', 'ẞ'],
        ['SS', 'ẞ'],
        ['ẞ', 'ss'],
        ['İ', 'İ'],
        ['i\u0307stanbul', 'İSTANBUL'],
        ['İstanbul', 'i\u0307stanbul'],
        ['ϴ', 'θ'],
        ['θ', 'ϴ'],
        ['Θ', 'ϴ'],
        ['ϴ', 'Θ'],
        ['οδος', 'ΟΔΟΣ'],
        ['ΟΔΟΣ', 'οδος'],
        ['οδοσ', 'οδος'],
        ['привет', 'ПРИВЕТ, мир'],
        ['😀', 'a😀b'],
        ['ǆ', 'ǅ'],
        ['ﬁ', 'FI']
      ] as const
    ) t.ok(matches({ text }, { x: held }), `${text} in ${held}`)
    t.notOk(matches({ text: 'cafe' }, { x: 'tea' }))
    t.notOk(matches({ text: 'cafe' }, { x: 'café' }))
  })

  t.test('a text filter finds any part of any value, in upper or lower case', async (t) => {
    const word = fc.string({ minLength: 1, unit: fc.constantFrom(...'abcxyzéößñσςδжя שλ✅😀ĳ') })
    holds(
      t,
      fc.property(word, word, word, (before, text, after) => {
        const item = { extra: { held: [`${before}${text}${after}`] } }
        return matches({ text }, item) && matches({ text: text.toUpperCase() }, item) &&
          matches({ text: text.toLowerCase() }, item)
      })
    )
  })

  t.test('filterKey is equal for equal filters, and different for different ones', async (t) => {
    const keyed = new Set([
      {},
      { category_type: 'a:b' },
      { category_type: 'a', category_name: 'b' },
      { category_type: 'a|b' },
      { category_type: 'a&category_name=b' },
      { category_type: 'a","b' },
      { category_name: 'a' },
      { category_type: 'null' },
      { category_type: 'a\0b' },
      { category_type: 'a' },
      { text: 'a' },
      { session_id: 'a' }
    ].map(filterKey))
    t.equal(keyed.size, 12)
    const canonical = (filter: AuditFilter) => writeJson(filter as JsonObject)
    holds(
      t,
      fc.property(anyFilter, anyFilter, (one, other) =>
        (filterKey(one) === filterKey(other)) === (canonical(one) === canonical(other)))
    )
    holds(
      t,
      fc.property(anyFilter, (filter) => filterKey(shuffled(filter as JsonObject) as AuditFilter) === filterKey(filter))
    )
  })

  t.test('pickFilter selects the filter from a larger set of parameters', async (t) => {
    const parameters = { category_type: 'a', text: 'x', page: 2, start_time: 'now' }
    t.same(pickFilter(parameters), { category_type: 'a', text: 'x' })
    t.same(Object.keys(pickFilter(Object.fromEntries(FILTER_FIELDS.map((name) => [name, undefined])))), [])
  })

  t.test('isJudgedHere is true for a filter by email, tool, status or text', async (t) => {
    t.same(
      [
        {},
        { category_type: 'a', session_id: 's' },
        { status: 'failed' as const },
        { text: 'x' },
        { email: 'x' },
        { category_type: 'a', tool_name: 'x' }
      ].map(isJudgedHere),
      [false, false, true, true, true, true]
    )
  })
})

t.test('time range', async (t) => {
  const asked = (start: string | undefined, end?: string, unbounded = false): RequestedRange => ({
    start: start === undefined ? undefined : momentOf(start),
    end: end === undefined ? undefined : momentOf(end),
    unbounded
  })
  function momentOf (text: string): TimeBound {
    const moment = parseTimeBound(text)
    if (moment === undefined) throw new Error(text)
    return moment
  }

  t.test('a time bound may be relative', async (t) => {
    for (
      const [text, seconds] of [['now', 0], ['-90s', 90], ['-15m', 900], ['-6h', 21_600], ['-7d', 604_800], [
        '-0s',
        0
      ]] as const
    ) {
      t.same(parseTimeBound(text), { kind: 'ago', seconds })
    }
  })

  t.test("a time bound has every form of an event's timestamp, and a space may stand for a plus", async (t) => {
    for (
      const text of [
        '2025-06-03T10:00:00',
        '2025-06-03 10:00:00',
        '2025-06-03T12:00:00+0200',
        '2025-06-03T12:00:00 0200',
        '2025-06-03 12:00:00.000 02:00',
        '2025-06-03T10:00:00Z',
        '2025-06-03T12:00:00+02:00',
        '2025-06-03T12:00:00 02:00',
        '2025-06-03 10:00:00z',
        '2025-06-03t08:00:00-02:00'
      ]
    ) {
      t.same(parseTimeBound(text), { kind: 'at', instant: TEN }, text)
    }
    t.same(
      parseTimeBound('2025-06-03'),
      { kind: 'at', instant: at('2025-06-03T00:00:00Z') },
      'a date alone is its midnight'
    )
    holds(
      t,
      fc.property(
        anyInstant,
        fc.constantFrom('Z', '', ' ', '+00:00', '-0000'),
        fc.boolean(),
        (instant, zone, isBlank) => {
          const text = formatInstant(instant).replace('Z', zone.trim()).replace('T', isBlank ? ' ' : 'T')
          const [moment, inEvent] = [parseTimeBound(text), parseInstant(text)]
          return moment?.kind === 'at' && moment.instant === inEvent && inEvent === instant
        }
      )
    )
    t.same(parseTimeBound('2025-06-03T12:00:00.25 02:00'), { kind: 'at', instant: TEN + 250_000_000n })
  })

  t.test('a time bound of any other form is undefined', async (t) => {
    for (
      const text of [
        '',
        'NOW',
        'yesterday',
        '6h',
        '+6h',
        '-6',
        '-h',
        '-6w',
        '-1.5h',
        '- 6h',
        '-6H',
        '-9999999999s',
        '-999999999d',
        '2025-06-3',
        '2025-02-30',
        '2025-06-03T10:00Z',
        '2025-06-03 10:00',
        '2025-02-30T10:00:00Z',
        '1748944800',
        '2025-06-03T10:00:00Z; DROP',
        '0000-01-01T00:00:00+00:01',
        '9999-12-31T23:59:59-00:01'
      ]
    ) t.equal(parseTimeBound(text), undefined, text)
  })

  t.test('a range begins 24 hours before its end by default', async (t) => {
    const now = TEN + 700_000_000n
    const day = 86_400n * NANOS_PER_SECOND
    t.same(resolveRange(asked(undefined), now), { start: TEN - day })
    t.same(resolveRange(asked(undefined, '-1h'), now), {
      start: TEN - 3600n * NANOS_PER_SECOND - day,
      end: TEN - 3600n * NANOS_PER_SECOND
    })
    t.same(resolveRange(asked('-90s', 'now'), now), { start: TEN - 90n * NANOS_PER_SECOND, end: TEN })
    t.same(resolveRange(asked('2025-06-03T10:00:00.5Z', '2025-06-03T10:00:00.6Z'), now), {
      start: TEN + 500_000_000n,
      end: TEN + 600_000_000n
    })
  })

  t.test('a range of a session has no lower bound by default', async (t) => {
    t.same(resolveRange(asked(undefined, undefined, true), TEN), {})
    t.same(resolveRange(asked(undefined, 'now', true), TEN), { end: TEN })
    t.same(resolveRange(asked('now', undefined, true), TEN), { start: TEN })
  })

  t.test('rangeKey is equal for equal requests', async (t) => {
    t.equal(rangeKey(asked('-24h')), rangeKey(asked('-1440m')))
    t.equal(rangeKey(asked('-0s')), rangeKey(asked('now')))
    t.equal(rangeKey(asked('2025-06-03T10:00:00Z')), rangeKey(asked('2025-06-03T12:00:00.000 02:00')))
    t.equal(rangeKey(asked('-1h', undefined, true)), rangeKey(asked('-1h')))
    const different = [
      asked(undefined),
      asked(undefined, undefined, true),
      asked('-1h'),
      asked(undefined, '-1h'),
      asked('-1h', '-1h'),
      asked('-1h', 'now'),
      asked('-2h'),
      asked('2025-06-03T10:00:00Z'),
      asked('2025-06-03T10:00:00.000000001Z'),
      asked('now'),
      asked(undefined, 'now'),
      asked(undefined, 'now', true)
    ]
    t.equal(new Set(different.map(rangeKey)).size, different.length)
  })

  t.test('isAbsolute is true if time does not move the range', async (t) => {
    t.same(
      [
        asked('2025-06-03T10:00:00Z', '2025-06-03T11:00:00Z'),
        asked(undefined, '2025-06-03T11:00:00Z'),
        asked('-1h', '2025-06-03T11:00:00Z'),
        asked('2025-06-03T10:00:00Z'),
        asked('2025-06-03T10:00:00Z', 'now')
      ].map(isAbsolute),
      [true, true, false, false, false]
    )
  })

  t.test('a range includes both bounds', async (t) => {
    t.same([9n, 10n, 15n, 20n, 21n].map((instant) => isWithin(instant, { start: 10n, end: 20n })), [
      false,
      true,
      true,
      true,
      false
    ])
    t.same([isWithin(-5n, {}), isWithin(9n, { start: 10n }), isWithin(21n, { end: 20n })], [true, false, false])
  })

  t.test('isFinal is true if no late event can enter the range', async (t) => {
    t.same([TEN - 2_000_000_001n, TEN - 2_000_000_000n, TEN, undefined].map((end) => isFinal(end, TEN, 2000)), [
      true,
      false,
      false,
      false
    ])
  })
})

t.test('cursor', async (t) => {
  const anyPlace: fc.Arbitrary<SortKey> = fc.record({
    instant: anyInstant,
    id: fc.string({ unit: anyCharacter, maxLength: 220 })
  }, { noNullPrototype: true })
  const anyLog: fc.Arbitrary<LogCursor> = fc.record({
    kind: fc.constant('log' as const),
    epoch: fc.stringMatching(/^[a-z0-9]{4,32}$/),
    offset: fc.maxSafeNat(),
    instant: anyInstant
  }, { noNullPrototype: true })
  const anyPage: fc.Arbitrary<PageCursor> = fc.record({
    kind: fc.constant('page' as const),
    operation: fc.constantFrom('list' as const, 'search' as const),
    filter: anyFilter,
    window: fc.record({ start: anyInstant, end: anyInstant }, {
      requiredKeys: [],
      noNullPrototype: true
    }) as fc.Arbitrary<TimeRange>,
    direction: fc.constantFrom('asc' as const, 'desc' as const),
    pageSize: fc.integer({ min: 1, max: 10_000 }),
    page: fc.integer({ min: 1, max: 1_000_000 }),
    skip: fc.nat(),
    after: anyPlace
  }, { noNullPrototype: true })
  /** As many letters in each field as all of them together may hold. */
  function largestFilter (letter: string): AuditFilter {
    const letters = (count: number): AuditFilter => ({
      ...Object.fromEntries(FILTER_FIELDS.map((name) => [name, letter.repeat(count)])),
      status: 'success'
    })
    let count = 0
    while (filterBytes(letters(count + 1)) <= MOST_FILTER_BYTES) count++
    return letters(count)
  }
  const LONGEST_ID = `${'語'.repeat(200)}\u0000000001` // That of an undated event's neighbour.
  const anyCursor: fc.Arbitrary<Cursor> = fc.oneof(
    anyLog,
    fc.record({ kind: fc.constant('replay' as const), log: anyLog, after: anyPlace }, { noNullPrototype: true }),
    anyPage
  )
  t.test('a cursor is the same after encoding and decoding', async (t) => {
    holds(t, fc.property(anyCursor, (cursor) => isDeepStrictEqual(decodeCursor(encodeCursor(cursor)), cursor)), {
      numRuns: 500
    })
  })

  t.test('a page cursor fits the largest filter in any script, and the longest id', async (t) => {
    for (const letter of ['я', 'ש', '語', 'ก', '한', '😀', '\u0001']) {
      const filter = largestFilter(letter)
      t.ok(filterBytes(filter) > MOST_FILTER_BYTES - 100, letter)
      const page: PageCursor = {
        kind: 'page',
        operation: 'search',
        filter,
        window: { start: EARLIEST, end: LATEST },
        direction: 'desc',
        pageSize: 10_000,
        page: 1_000_000,
        skip: 10_000,
        after: { instant: EARLIEST, id: LONGEST_ID }
      }
      t.same(decodeCursor(encodeCursor(page)), page, letter)
    }
  })

  t.test('a replay cursor fits the longest ids, and is much shorter than a request head', async (t) => {
    const place = { instant: EARLIEST, id: LONGEST_ID }
    const delivered = Array.from(
      { length: MOST_DELIVERED_RANGES },
      () => ({ before: Number.MAX_SAFE_INTEGER, upTo: place })
    )
    const log: LogCursor = { kind: 'log', epoch: 'e'.repeat(32), offset: Number.MAX_SAFE_INTEGER, instant: EARLIEST }
    const replay: Cursor = { kind: 'replay', log, after: place, delivered }
    t.same(decodeCursor(encodeCursor(replay)), replay)
    t.ok(encodeCursor(replay).length < 5000, String(encodeCursor(replay).length))
  })

  t.test('a cursor is URL-safe text', async (t) => {
    holds(t, fc.property(anyCursor, (cursor) => /^[A-Za-z0-9._-]+$/.test(encodeCursor(cursor))))
  })

  t.test('a cursor is rejected if any character is changed, removed or added', async (t) => {
    const alphabet = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ é']
    holds(
      t,
      fc.property(anyCursor, fc.nat(), fc.constantFrom(...alphabet), (cursor, where, other) => {
        const text = encodeCursor(cursor)
        const index = where % text.length
        const [before, after] = [text.slice(0, index), text.slice(index + 1)]
        const damaged = [
          before + after,
          `${before}${other}${text.slice(index)}`,
          ...text[index] === other ? [] : [before + other + after],
          text + other
        ]
        return damaged.every((each) => each === text || decodeCursor(each) === undefined)
      }),
      { numRuns: 500 }
    )
  })

  t.test('a cursor with invented content is rejected, also with a correct checksum', async (t) => {
    const log: LogCursor = { kind: 'log', epoch: 'abcd', offset: 1, instant: TEN }
    const page: PageCursor = {
      kind: 'page',
      operation: 'list',
      filter: {},
      window: { start: TEN },
      direction: 'asc',
      pageSize: 10,
      page: 2,
      skip: 0,
      after: { instant: TEN, id: 'a' }
    }
    t.ok(decodeCursor(encodeCursor(log)))
    t.ok(decodeCursor(encodeCursor(page)))
    for (
      const odd of [
        { ...log, epoch: 'abc' },
        { ...log, epoch: 'ABCD' },
        { ...log, epoch: 'a'.repeat(33) },
        { ...log, epoch: 'abcd\n' },
        { ...log, epoch: 5 },
        { ...log, offset: -1 },
        { ...log, offset: 1.5 },
        { ...log, offset: 2 ** 53 },
        { ...log, offset: '1' },
        { ...log, instant: LATEST + 1n },
        { ...log, instant: EARLIEST - 1n },
        { ...log, instant: 5 },
        { ...log, instant: 'soon' },
        { ...log, instant: '' },
        { ...log, instant: null },
        { kind: 'replay', log: { ...log, epoch: '' }, after: page.after },
        { kind: 'replay', log, after: { instant: TEN } },
        { kind: 'replay', log, after: { instant: null, id: '' } },
        { ...page, operation: 'describe' },
        { ...page, direction: 'up' },
        { ...page, page: -1 },
        { ...page, pageSize: 0.5 },
        { ...page, after: { instant: TEN, id: 5 } },
        { ...page, window: { start: 'x' } },
        { ...page, window: { end: LATEST + 1n } }
      ]
    ) t.equal(decodeCursor(encodeCursor(odd as unknown as Cursor)), undefined, inspect(odd))
  })

  t.test('any other text is rejected as a cursor', async (t) => {
    for (
      const text of ['', '.', '..', '1..', '1.e30.', '2.e30.xxxxxxxx', 'null', '1.bnVsbA.AAAAAAAA', 'x'.repeat(100_000)]
    ) {
      t.equal(decodeCursor(text), undefined, text.slice(0, 20))
    }
  })
})

t.test('sort key', async (t) => {
  const place = (instant: bigint, id: string): SortKey => ({ instant, id })

  t.test('sort keys are ordered by instant, then by id', async (t) => {
    const ordered = [place(-1n, 'z'), place(0n, 'a'), place(0n, 'b'), place(0n, 'ba'), place(1n, ''), place(10n, 'a')]
    t.same([...ordered].reverse().sort(compareSortKeys), ordered)
    t.equal(compareSortKeys(place(1n, 'a'), place(1n, 'a')), 0)
  })

  t.test('isAfter compares in a direction, and an empty id is before all of its instant', async (t) => {
    const beyond = (instant: bigint, id: string, after: SortKey) =>
      (['asc', 'desc'] as Direction[]).map((direction) => isAfter(place(instant, id), after, direction))
    t.same(beyond(5n, 'b', place(5n, 'a')), [true, false])
    t.same(beyond(5n, 'a', place(5n, 'a')), [false, false])
    t.same(beyond(4n, 'z', place(5n, 'a')), [false, true])
    t.same(beyond(5n, 'a', place(5n, '')), [true, true])
    t.same(beyond(4n, 'a', place(5n, '')), [false, true])
    t.same(beyond(6n, 'a', place(5n, '')), [true, false])
  })

  t.test('the sort key of an undated event is directly after its dated neighbour, in both directions', async (t) => {
    const events = identify([{ id: 'u0' }, { id: 'b', timestamp: '2025-06-03T10:00:00Z' }, { id: 'u1' }, { id: 'u2' }, {
      id: 'a',
      timestamp: '2025-06-03T10:00:00Z'
    }])
    const ascending = withSortKeys(events, 'asc')
    const descending = withSortKeys(events.toReversed(), 'desc')
    t.same(descending.toReversed(), ascending)
    t.same([...ascending].sort(compareKeyedEvents('asc')).map(({ event }) => event.id), ['u0', 'a', 'b', 'u1', 'u2'])
    t.same([...descending].sort(compareKeyedEvents('desc')).map(({ event }) => event.id), ['u2', 'u1', 'b', 'a', 'u0'])
    t.same(withSortKeys(events.slice(3), 'asc').at(-1), ascending.at(-1))
    const alone = withSortKeys(identify([{ id: 'a', timestamp: '2025-06-03T10:00:01Z' }, { id: 'u3' }]), 'asc')
    const after = withSortKeys([...events, ...alone.map(({ event }) => event)], 'asc')
    t.same(after.slice(-2), alone, 'whatever stands in front of the neighbour')
    t.same(withSortKeys(identify([{ id: 'u' }]), 'asc', 7n).map((row) => row.key.instant), [7n])
  })
})

/** A JSON number as digits and a power of ten: equal for equal values, however they are written. */
function decimal (text: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? ['', 'none']
  const digits = (whole + fraction).replace(/^0+/, '')
  const significant = digits.replace(/0+$/, '')
  return significant === ''
    ? '0'
    : `${sign}${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`
}

function shuffled (value: Json): Json {
  if (Array.isArray(value)) return value.map(shuffled)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).reverse().map(([key, held]) => [key, shuffled(held)]))
}

const ITEM = {
  org: 'acme',
  email: 'user1@acme.test',
  version: 1,
  category_type: 'agents',
  resource_text: 'Café ✅',
  action_successful: null,
  timestamp: '2025-06-03T09:14:07.218334Z',
  extra: { session_id: 's-1', nested: [{ deep: 1 }] }
} as const satisfies JsonObject

function idOf (item: JsonObject): string {
  return identify([item])[0]?.id ?? ''
}

/** The contract's rule of an upstream id in its own words. */
function isAllowed (id: string): boolean {
  const units = Array.from({ length: id.length }, (_, at) => id.charCodeAt(at))
  const isControl = units.some((unit) => unit < 0x20 || (unit >= 0x7f && unit < 0xa0))
  const parts = [id, percentDecoded(id)].flatMap((text) => text.split(/[/\\]/))
  const isPath = parts.some((part) => ['', '.', '..'].includes(part))
  const isReserved = id === 'search' || id.startsWith('kab1.')
  return units.length <= 200 && !isControl && !/\p{Cs}/u.test(id) && !/^\s|\s$/.test(id) && !isPath && !isReserved
}

/** As URLs are decoded (WHATWG URL §1.3), a character for each byte. */
function percentDecoded (text: string): string {
  const bytes = Buffer.from(text)
  let decoded = ''
  for (let at = 0; at < bytes.length; at++) {
    const escape = bytes.toString('latin1', at, at + 3)
    const isEscape = /^%[0-9a-f]{2}$/i.test(escape)
    decoded += isEscape ? String.fromCharCode(Number.parseInt(escape.slice(1), 16)) : escape.slice(0, 1)
    if (isEscape) at += 2
  }
  return decoded
}
