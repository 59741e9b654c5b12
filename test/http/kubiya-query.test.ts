import fc from 'fast-check'
import t from 'tap'
import type { PageQuery } from '../../src/archive/page-query.ts'
import { formatInstant, instantFromMs } from '../../src/audit/instant.ts'
import type { ParameterFault } from '../../src/http/kubiya-filter.ts'
import { readItemsQuery } from '../../src/http/kubiya-query.ts'
import { anyCharacter, holds } from '../contracts/property.ts'
import { cliSearch, sdkSearch, type ClientFilter, type ClientQuery } from '../support/kubiya-clients.ts'

function queryOf (search: string): PageQuery {
  const read = readItemsQuery(search)
  if (Array.isArray(read)) throw new Error(read.map(({ message, parameter }) => `${parameter} ${message}`).join('; '))
  return read as PageQuery
}

function faultsOf (search: string): ParameterFault[] {
  const read = readItemsQuery(search)
  return Array.isArray(read) ? read : []
}

function filtered (filter: unknown): string {
  return `filter=${encodeURIComponent(typeof filter === 'string' ? filter : JSON.stringify(filter))}`
}

function isWellFormed (text: string): boolean {
  return Buffer.from(text).toString() === text
}

function boundsOf ({ window }: PageQuery): Array<string | undefined> {
  return [window.start, window.end].map((bound) =>
    typeof bound === 'object' && bound.kind === 'at' ? formatInstant(bound.instant) : undefined)
}

t.test('the query of items', async (t) => {
  t.test('is the whole log, newest first, where nothing is asked for', async (t) => {
    for (
      const search of ['', 'filter=%7B%7D', 'filter={%22timestamp%22:{}}&sort=%7B%7D', 'verbose=x&timeout_minutes=']
    ) {
      const { direction, filter, operation, page, pageSize, window } = queryOf(search)
      t.same([operation, direction, page, pageSize, filter], ['items', 'desc', 1, 50, {}], search)
      t.same(window, { start: undefined, end: undefined, unbounded: true })
    }
  })

  t.test('reads every key of the filter', async (t) => {
    const filter = {
      category_type: 'a',
      category_name: '',
      resource_type: 'c c',
      action_type: 'd&=',
      'extra.session_id': 's',
      session_id: 's',
      email: 'x+y@acme.test',
      'extra.tool_name': 'é✅'
    }
    t.same(queryOf(filtered(filter)).filter, {
      category_type: 'a',
      category_name: '',
      resource_type: 'c c',
      action_type: 'd&=',
      session_id: 's',
      email: 'x+y@acme.test',
      tool_name: 'é✅'
    })
    t.same(queryOf('search_text=a+b&status_filter=failed').filter, { text: 'a b', status: 'failed' })
  })

  t.test('reads times of RFC 3339 in every form, and a date as its midnight', async (t) => {
    const forms: Record<string, string> = {
      '2025-06-03T09:14:07Z': '2025-06-03T09:14:07Z',
      '2025-06-03T09:14:07.123456789Z': '2025-06-03T09:14:07.123456789Z',
      '2025-06-03T11:14:07+02:00': '2025-06-03T09:14:07Z',
      '2025-06-03T11:14:07 02:00': '2025-06-03T09:14:07Z',
      '2025-06-03 09:14:07': '2025-06-03T09:14:07Z',
      '2025-06-03': '2025-06-03T00:00:00Z'
    }
    for (const [form, instant] of Object.entries(forms)) {
      t.same(boundsOf(queryOf(filtered({ timestamp: { gte: form, lte: form } }))), [instant, instant], form)
      t.same(boundsOf(queryOf(filtered({ timestamp: { lte: form } }))), [undefined, instant], form)
    }
  })

  t.test('reads a sort, and pages of up to ten thousand rows', async (t) => {
    t.equal(queryOf('sort={"timestamp":1}').direction, 'asc')
    t.equal(queryOf('sort={"timestamp":+-1}').direction, 'desc')
    t.same(queryOf('page=7&page_size=10000').page, 7)
    t.same(queryOf('page=7&page_size=10000').pageSize, 10_000)
  })

  t.test('refuses anything else, and names the key', async (t) => {
    const long = 'x'.repeat(257)
    const cases: Array<[search: string, ...parameters: string[]]> = [
      ['x=1', 'x'],
      ['page=1&page=2', 'page'],
      ['filter={}&filter={}', 'filter'],
      ['page[]=1', 'page[]'],
      ['__proto__=1', '__proto__'],
      ['constructor=1', 'constructor'],
      ['Page=1', 'Page'],
      ...['0', '-1', '1.5', '1e3', ' 1', '', '0x10', '1000001', 'NaN'].map((page) =>
        [`page=${page}`, 'page'] as [string, string]
      ),
      ...['0', '10001', '1e9', '99999999999'].map((size) => [`page_size=${size}`, 'page_size'] as [string, string]),
      ...['1', '[]', 'null', '{"timestamp":2}', '{"timestamp":"-1"}', '{"id":1}', '{"timestamp":-1,"id":1}',
        '{"timestamp":1,"timestamp":-1}', '{', '']
        .map(
          (sort) => [`sort=${encodeURIComponent(sort)}`, 'sort'] as [string, string]
        ),
      ['search_text=', 'search_text'],
      [`search_text=${long}`, 'search_text'],
      ['status_filter=maybe', 'status_filter'],
      ['status_filter=', 'status_filter'],
      ...['', '{', 'null', '[]', '"x"', '1', '{}{}', '{"a":{"b":{"c":1}}}', '[[[[', `{"email":"${'x'.repeat(9000)}"}`]
        .map(
          (filter) => [filtered(filter), 'filter'] as [string, string]
        ),
      [filtered('{"email":"a","email":"b"}'), 'filter'],
      [filtered('{"timestamp":{"gte":"2024-01-01","gte":"2025-01-01"}}'), 'filter'],
      [filtered({ $where: '1' }), 'filter.$where'], [filtered({ email: { $ne: 'x' } }), 'filter.email'],
      [filtered('{"__proto__":{"x":1}}'), 'filter.__proto__'], [filtered({ constructor: 'x' }), 'filter.constructor'],
      [filtered({ text: 'x' }), 'filter.text'], [filtered({ status: 'failed' }), 'filter.status'],
      [filtered({ tool_name: 'x' }), 'filter.tool_name'], [filtered({ org: 'x' }), 'filter.org'],
      [filtered({ email: null }), 'filter.email'], [filtered({ email: 5 }), 'filter.email'],
      [filtered({ email: ['x'] }), 'filter.email'], [filtered({ email: long }), 'filter.email'],
      [filtered({ session_id: 'a', 'extra.session_id': 'b' }), 'filter.extra.session_id'],
      [filtered({ timestamp: null }), 'filter.timestamp'], [filtered({ timestamp: '2024-01-01' }), 'filter.timestamp'],
      [filtered({ timestamp: { $gte: '2024-01-01' } }), 'filter.timestamp.$gte'],
      [filtered({ timestamp: { gt: '2024-01-01' } }), 'filter.timestamp.gt'],
      [filtered({ timestamp: { gte: 'now' } }), 'filter.timestamp.gte'],
      [filtered({ timestamp: { gte: '-15m' } }), 'filter.timestamp.gte'],
      [filtered({ timestamp: { lte: '' } }), 'filter.timestamp.lte'],
      [filtered({ timestamp: { lte: 1700000000 } }), 'filter.timestamp.lte'],
      [
        filtered({ timestamp: { gte: '2024-02-30T00:00:00Z', lte: null } }),
        'filter.timestamp.gte',
        'filter.timestamp.lte'
      ],
      [`${filtered({ $a: 1, b: 2 })}&page=0&x=1`, 'x', 'filter.$a', 'filter.b', 'page']
    ]
    for (const [search, ...parameters] of cases) {
      t.same(faultsOf(search).map(({ parameter }) => parameter), parameters, search.slice(0, 100))
    }
  })

  t.test('bounds all values together', async (t) => {
    const wide = '語'.repeat(256)
    const five = { category_type: wide, category_name: wide, resource_type: wide, action_type: wide, email: wide }
    t.same(faultsOf(filtered(five)), [], 'five of them fit')
    const message = 'all filter values together must be at most 4096 bytes as JSON, not 4627'
    t.same(faultsOf(filtered({ ...five, session_id: wide })), [{ parameter: 'filter', message }])
    t.match(faultsOf(`${filtered(five)}&search_text=${encodeURIComponent(wide)}`), [{ parameter: 'search_text' }])
  })

  t.test('has one fault where the filter is a bomb', async (t) => {
    const room = 8000
    const bombs: Record<string, string> = {
      deep: '['.repeat(room),
      'deep objects': '{"a":'.repeat(room / 5),
      wide: `{${Array.from({ length: room / 8 }, (_, n) => `"k${n}":1`).join(',')}}`,
      list: `{"a":[${'1,'.repeat(room / 2)}1]}`,
      'long keys': `{"${'k'.repeat(room)}":1}`,
      prototypes: `{${'"__proto__":{},'.repeat(room / 16)}"x":1}`,
      'one long text': `{"email":"${'x'.repeat(room * 2)}"}`,
      quotes: `{"email":"${'\\"'.repeat(room / 2)}`
    }
    for (const [name, bomb] of Object.entries(bombs)) {
      const search = filtered(bomb)
      t.equal(faultsOf(search).length, 1, name)
    }
  })
})

const value = fc.string({ unit: anyCharacter, maxLength: 40 }).filter(isWellFormed)
const time = fc.integer({ min: 0, max: 4e12 }).map((ms) => formatInstant(instantFromMs(ms)))
const timestamp = fc.record({ gte: time, lte: time }, { requiredKeys: [], noNullPrototype: true })
const anyFilter: fc.Arbitrary<ClientFilter> = fc.record({
  timestamp,
  category_type: value,
  category_name: value,
  resource_type: value,
  action_type: value,
  'extra.session_id': value,
  email: value,
  'extra.tool_name': value
}, { requiredKeys: [], noNullPrototype: true })
const anyQuery: fc.Arbitrary<Required<ClientQuery>> = fc.record({
  filter: anyFilter,
  direction: fc.constantFrom(1 as const, -1 as const),
  page: fc.integer({ min: 1, max: 1_000_000 }),
  pageSize: fc.integer({ min: 1, max: 10_000 })
}, { noNullPrototype: true })

t.test('the query of the SDK, of the CLI and of the link to the next page is read as it was meant', async (t) => {
  const meant = ({ direction, filter, page, pageSize }: Required<ClientQuery>) => {
    const { 'extra.session_id': session, 'extra.tool_name': tool, timestamp = {}, ...fields } = filter
    const whole = {
      ...fields,
      ...session !== undefined && { session_id: session },
      ...tool !== undefined && { tool_name: tool }
    }
    return [direction, page, pageSize, Object.entries(whole).sort(), timestamp.gte, timestamp.lte]
  }
  const read = (search: string) => {
    const query = queryOf(search)
    const { direction, filter, page, pageSize } = query
    return [direction === 'asc' ? 1 : -1, page, pageSize, Object.entries(filter).sort(), ...boundsOf(query)]
  }
  const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)
  holds(
    t,
    fc.property(anyQuery, (query) =>
      [sdkSearch(query), cliSearch(query)].every((search) =>
        isSame(read(search), meant(query)) &&
        isSame(read(`${queryOf(search).numbered}&page=${query.page}`), meant(query)) &&
        queryOf(`${queryOf(search).numbered}&page=${query.page}`).key === queryOf(search).key
      )),
    { numRuns: 300 }
  )
})

t.test('the parser never throws, and gives a query or faults', async (t) => {
  const name = fc.constantFrom('filter', 'sort', 'page', 'page_size', 'search_text', 'status_filter', 'x')
  const json = fc.oneof(fc.json(), anyFilter.map((filter) => JSON.stringify(filter)), fc.string({ unit: anyCharacter }))
  const pair = fc.tuple(name, json).map(([key, text]) =>
    `${key}=${isWellFormed(text) ? encodeURIComponent(text) : text}`
  )
  const search = fc.oneof(
    fc.string({ unit: anyCharacter, maxLength: 300 }),
    fc.array(pair, { maxLength: 5 }).map((all) => all.join('&'))
  )
  holds(
    t,
    fc.property(search, (text) => {
      const result = readItemsQuery(text)
      return Array.isArray(result) ? result.length > 0 : (result as PageQuery).operation === 'items'
    }),
    { numRuns: 500 }
  )
})
