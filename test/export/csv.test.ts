import fc from 'fast-check'
import t from 'tap'
import { identify } from '../../src/audit/event-id.ts'
import { parseJson, type JsonObject } from '../../src/audit/exact-json.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { DEFAULT_COLUMNS, DELIMITERS, csvFormat, isPath, type CsvOptions, type DelimiterName } from '../../src/export/csv.ts'
import { anyCharacter, holds, runs } from '../contracts/property.ts'

const USUAL: CsvOptions = { columns: DEFAULT_COLUMNS, delimiter: 'comma', bom: false, guard: true }
const FIRST_CHARACTERS = ['=', '+', '-', '@', '\t', '\r', '\n', '\uff1d', '\uff0b', '\uff0d', '\uff20']
const BEGINS_FORMULA = /^[=+\-@\uff1d\uff0b\uff0d\uff20]/
const COMPLETE = { complete: true, events: 1, next: null, sha256: '', skipped: [] }
const INCOMPLETE = { ...COMPLETE, complete: false, events: 7, next: '1.abc.def' }

const delimiters = fc.constantFrom(...Object.keys(DELIMITERS) as DelimiterName[])
/** Texts in which the characters that CSV and spreadsheets give a meaning are frequent. */
const texts = fc.string({
  unit: fc.oneof(fc.constantFrom(...FIRST_CHARACTERS, '"', ',', ';', ' ', "'", '#', '\u2028', '\ufeff'), anyCharacter),
  maxLength: 8
})
const paths = [
  'id',
  'email',
  'resource_text',
  'action_successful',
  'extra.tool_name',
  'extra.list.1',
  'extra.list',
  'session_id',
  'missing',
  'extra.missing.x'
]
const items = fc.record({
  email: texts,
  resource_text: fc.oneof(texts, fc.constant(null), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.array(texts)),
  action_successful: fc.constantFrom(true, false, null),
  extra: fc.oneof(fc.constant(null), fc.record({ tool_name: texts, session_id: texts, list: fc.array(texts, { maxLength: 3 }) })),
  session_id: texts
}, { requiredKeys: [] })

/** A strict reader by RFC 4180: quotes stand only around a whole cell, and every record ends with CRLF. */
function recordsOf (text: string, delimiter: string): string[][] {
  const cell = new RegExp(`"((?:[^"]|"")*)"|([^"${delimiter}\\r\\n]*)`, 'y')
  const records: string[][] = []
  let record: string[] = []
  while (cell.lastIndex < text.length || record.length > 0) {
    const [all = '', quoted, plain] = cell.exec(text) ?? []
    const at = cell.lastIndex
    record.push(quoted?.replaceAll('""', '"') ?? plain ?? '')
    if (text[at] === delimiter) cell.lastIndex = at + 1
    else {
      if (text.slice(at, at + 2) !== '\r\n') throw new Error(`${all} is not followed by CRLF in ${JSON.stringify(text)}`)
      cell.lastIndex = at + 2
      records.push(record)
      record = []
    }
  }
  return records
}

/** The cells of an event, from its published JSON. */
function expectedCell (event: AuditEvent, path: string, guard: boolean): string {
  const published = JSON.parse(event.json) as Record<string, unknown>
  const own = path === 'session_id' ? valueAt(published, 'extra.session_id') || valueAt(published, path) : valueAt(published, path)
  return guard && own !== '-' && FIRST_CHARACTERS.some((each) => own.startsWith(each)) ? `'${own}` : own
}

function valueAt (published: unknown, path: string): string {
  let value = published
  for (const name of path.split('.')) {
    value = typeof value === 'object' && value !== null && Object.hasOwn(value, name)
      ? (value as Record<string, unknown>)[name]
      : undefined
  }
  if (value === undefined || value === null) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** The file of these items, with its head. */
function fileOf (given: readonly JsonObject[], options: Partial<CsvOptions> = {}): string {
  const format = csvFormat({ ...USUAL, ...options })
  return format.head + identify([...given]).map((event, index) => format.event(event, index)).join('')
}

/** The only cell of an item with this text. */
function cellOf (text: string, options: Partial<CsvOptions> = {}): string | undefined {
  return recordsOf(fileOf([{ resource_text: text }], { columns: ['resource_text'], ...options }), ',')[1]?.[0]
}

t.test('a strict reader finds every cell of any event, for every delimiter, mark and guard', async (t) => {
  const cases = fc.tuple(
    fc.array(items, { maxLength: 4 }),
    fc.shuffledSubarray(paths, { minLength: 1 }),
    delimiters,
    fc.boolean(),
    fc.boolean()
  )
  holds(t, fc.property(cases, ([given, columns, delimiter, bom, guard]) => {
    const text = fileOf(given as JsonObject[], { columns, delimiter, bom, guard })
    if (text.startsWith('\ufeff') !== bom) throw new Error('the mark is wrong')
    const [header, ...records] = recordsOf(bom ? text.slice(1) : text, DELIMITERS[delimiter])
    const expected = identify(given as JsonObject[]).map((event) =>
      columns.map((path) => expectedCell(event, path, guard)))
    if (JSON.stringify([header, ...records]) !== JSON.stringify([columns, ...expected])) {
      throw new Error(`${JSON.stringify(records)} instead of ${JSON.stringify(expected)}`)
    }
  }), { numRuns: runs(500) })
})

t.test('no cell begins as a formula does, also for a program that splits at another delimiter', async (t) => {
  const cases = fc.tuple(fc.array(texts, { minLength: 1, maxLength: 3 }), delimiters)
  holds(t, fc.property(cases, ([given, delimiter]) => {
    const columns = ['email', 'resource_text']
    const text = fileOf(given.map((each) => ({ email: each, resource_text: each })), { columns, delimiter })
    const formula = outsideQuotes(text).split(/[,;\t\r\n]/).find((each) => each !== '-' && BEGINS_FORMULA.test(each))
    if (formula !== undefined) throw new Error(`${JSON.stringify(formula)} in ${JSON.stringify(text)}`)
  }), { numRuns: runs(300) })
})

t.test('the guard', async (t) => {
  t.test('puts an apostrophe in front of a formula, and of nothing else', async (t) => {
    for (const first of FIRST_CHARACTERS) {
      t.equal(cellOf(`${first}1+1`), `'${first}1+1`)
      t.equal(cellOf(`${first}1+1`, { guard: false }), `${first}1+1`)
      t.equal(cellOf(`a${first}1`), `a${first}1`)
    }
    for (const text of ['-', '', ' =1', "'=1", '1-1', '#']) t.equal(cellOf(text), text)
    for (const text of ['+', '=', '@', '\t', '\r', '\n', '--']) t.equal(cellOf(text), `'${text}`)
  })

  t.test('applies to numbers, nested values and the header too', async (t) => {
    const [header, record] = recordsOf(fileOf([{ '@a': -1, b: { '-c': '=d' } }], { columns: ['@a', 'b.-c', 'b'] }), ',')
    t.same(header, ["'@a", 'b.-c', 'b'])
    t.same(record, ["'-1", "'=d", '{"-c":"=d"}'])
  })
})

t.test('a column', async (t) => {
  const record = (item: string, ...columns: string[]) =>
    recordsOf(fileOf([parseJson(item) as JsonObject], { columns, guard: false }), ',')[1]

  t.test('is a path through objects and arrays', async (t) => {
    const item = '{"a":{"b":[{"c":"x"},"y"]},"a.b":"no"}'
    t.same(record(item, 'a.b.0.c', 'a.b.1', 'a.b', 'a.b.2', 'a.b.01', 'a.b.length'), ['x', 'y', '[{"c":"x"},"y"]', '', '', ''])
  })

  t.test('shows a number as Kubiya wrote it', async (t) => {
    t.same(record('{"n":12345678901234567890,"m":1.10}', 'n', 'm'), ['12345678901234567890', '1.1'])
  })

  t.test('reads no inherited property', async (t) => {
    t.same(record('{"a":"x"}', 'constructor', '__proto__', 'a.length', 'toString.name'), ['', '', '', ''])
    t.same(record('{"__proto__":"own"}', '__proto__'), ['own'])
  })

  t.test('`session_id` is that of the filter, and `id` is that of the published event', async (t) => {
    t.same(record('{"id":"u1","session_id":"a","extra":{"session_id":"b"}}', 'session_id', 'id'), ['b', 'u1'])
    t.same(record('{"session_id":"a","extra":{}}', 'session_id', 'extra.session_id'), ['a', ''])
    const [id, upstream] = record('{"id":"../x"}', 'id', 'upstream_id') ?? []
    t.match(id, /^kab1\.none\./)
    t.equal(upstream, '../x')
  })

  t.test('that is the only one shows an empty cell as quotes, so that no line is empty', async (t) => {
    t.equal(fileOf([{}], { columns: ['a'] }), 'a\r\n""\r\n')
  })

  t.test('may have these names only', async (t) => {
    for (const path of ['a', 'a.b', 'a.0', 'שלום', '@x', 'a-b', Array(10).fill('a').join('.')]) t.ok(isPath(path), path)
    for (const path of ['', '.', 'a.', '.a', 'a..b', 'a b', 'a,b', 'a"', 'a\n', '=a', Array(11).fill('a').join('.')]) {
      t.notOk(isPath(path), path)
    }
  })
})

t.test('the default columns are the header, and the media type says that there is one', async (t) => {
  const { end, head, mediaType } = csvFormat(USUAL)
  t.equal(head, 'timestamp,email,category_type,category_name,resource_type,resource_text,action_type,' +
    'action_successful,session_id,id,org,scope,version,extra\r\n')
  t.equal(mediaType, 'text/csv; charset=utf-8; header=present')
  t.equal(csvFormat({ ...USUAL, delimiter: 'tab', columns: ['a', 'b'] }).head, 'a\tb\r\n')
  t.equal(end(COMPLETE), '')
  t.equal(end(INCOMPLETE), '# incomplete: events=7 next=1.abc.def\r\n')
  t.equal(end({ ...INCOMPLETE, next: null }), '# incomplete: events=7 next=\r\n')
})

/** What stands outside of quoted cells. A quoted cell is one character that begins no formula. */
function outsideQuotes (text: string): string {
  return text.replace(/"(?:[^"]|"")*"/g, '_')
}
