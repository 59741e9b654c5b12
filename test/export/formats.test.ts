import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { decodeCursor } from '../../src/audit/cursor.ts'
import { identify } from '../../src/audit/event-id.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { parseJson, type JsonObject } from '../../src/audit/exact-json.ts'
import { encodeExport } from '../../src/export/export-encoder.ts'
import { FORMATS, type FormatName } from '../../src/export/export-format.ts'
import type { ExportEnd, ExportStep } from '../../src/export/export-request.ts'
import { DEFAULT_COLUMNS } from '../../src/export/csv.ts'
import { formatOf } from '../../src/export/formats.ts'
import { holdsAsync, runs } from '../contracts/property.ts'
import { at } from '../support/timeline.ts'

const CSV = { columns: DEFAULT_COLUMNS, delimiter: 'comma', bom: false, guard: true } as const
const COMPLETE: ExportEnd = { kind: 'end', complete: true, next: undefined, reason: 'end', skipped: [] }
const NEXT = {
  kind: 'export',
  filter: {},
  window: { end: at(9) },
  direction: 'asc',
  after: { instant: at(1), id: 'a' },
  hasSkipped: false
} as const
const INCOMPLETE: ExportEnd = { ...COMPLETE, complete: false, next: NEXT, reason: 'limit' }
const pages = fc.array(fc.array(fc.jsonValue({ maxDepth: 3 }).map((value) => ({ value })), { maxLength: 5 }), { maxLength: 4 })

interface Written {
  readonly events: readonly AuditEvent[]
  readonly chunks: readonly Buffer[]
  readonly text: string
  readonly bytes: number
}

/** The export of these items, one step for each page. */
async function written (format: FormatName, given: readonly JsonObject[][], end = COMPLETE): Promise<Written> {
  const steps = given.map((items) => identify(items))
  const { chunks, totals } = encodeExport(stepsOf(steps, end), formatOf(format, CSV))
  const all: Buffer[] = []
  for await (const chunk of chunks) all.push(chunk)
  return { events: steps.flat(), chunks: all, text: Buffer.concat(all).toString(), bytes: totals().bytes }
}

async function * stepsOf (pages: readonly AuditEvent[][], end: ExportEnd): AsyncGenerator<ExportStep, void, void> {
  for (const events of pages) yield { kind: 'events', events }
  yield end
}

function digestBefore (text: string, mark: string): string {
  return createHash('sha256').update(text.slice(0, text.lastIndexOf(mark))).digest('hex')
}

t.test('each line of NDJSON is the published event, and the end has the digest of all bytes before it', async (t) => {
  await holdsAsync(t, fc.asyncProperty(pages, fc.boolean(), async (given, isComplete) => {
    const { events, text } = await written('ndjson', given as JsonObject[][], isComplete ? COMPLETE : INCOMPLETE)
    const lines = text.split('\n')
    const body = lines.slice(0, -2)
    if (lines.at(-1) !== '') throw new Error('the last line has no end')
    if (body.join('\n') !== events.map(({ json }) => json).join('\n')) throw new Error('not byte for byte')
    const { export: end } = JSON.parse(lines.at(-2) ?? '')
    if (end.sha256 !== digestBefore(text, '{"export":')) throw new Error('the digest is wrong')
    if (end.events !== events.length || end.complete !== isComplete) throw new Error('the end is wrong')
  }), { numRuns: runs(200) })
})

t.test('JSON is one document with the same events, and the digest of the bytes before the closing bracket', async (t) => {
  await holdsAsync(t, fc.asyncProperty(pages, async (given) => {
    const { events, text } = await written('json', given as JsonObject[][])
    const { export: end, items } = JSON.parse(text)
    if (JSON.stringify(items) !== JSON.stringify(events.map(({ json }) => JSON.parse(json) as unknown))) {
      throw new Error('other events')
    }
    if (end.sha256 !== digestBefore(text, '],"export":')) throw new Error('the digest is wrong')
  }), { numRuns: runs(200) })
})

t.test('a number that a double would change is exported as Kubiya wrote it', async (t) => {
  const item = parseJson('{"n":12345678901234567890}') as JsonObject
  for (const format of FORMATS.filter((each) => each.includes('json'))) {
    t.match((await written(format, [[item]])).text, '"n":12345678901234567890}', format)
  }
})

t.test('an export without events', async (t) => {
  const sha256 = createHash('sha256').digest('hex')
  t.equal((await written('ndjson', [])).text, `{"export":{"complete":true,"events":0,"next":null,"sha256":"${sha256}"}}\n`)
  t.same(JSON.parse((await written('json', [])).text).items, [])
  t.equal((await written('csv', [])).text, `${DEFAULT_COLUMNS.join(',')}\r\n`)
  t.equal((await written('txt', [])).text, '')
})

t.test('the end of an incomplete export has the cursor, and the intervals that could not be read', async (t) => {
  const skipped = [
    { from: at(1), to: at(3), rows: 1, reason: 'too-large' },
    { from: at(5), to: undefined, rows: 1, reason: 'upstream-outage' }
  ] as const
  const { text } = await written('ndjson', [[{ a: 1 }]], { ...INCOMPLETE, skipped })
  const { export: end } = JSON.parse(text.split('\n')[1] ?? '')
  t.same(decodeCursor(end.next), NEXT)
  t.same(end.skipped, [
    { from: '2025-06-03T10:00:01Z', to: '2025-06-03T10:00:03Z', reason: 'too-large' },
    { from: '2025-06-03T10:00:05Z', to: '2025-06-03T10:00:05Z', reason: 'upstream-outage' }
  ])
  for (const format of ['csv', 'txt'] as const) {
    t.match((await written(format, [], INCOMPLETE)).text, `# incomplete: events=0 next=${end.next}`)
  }
})

t.test('a large export comes in chunks of some 64 KB, and the totals count their bytes', async (t) => {
  const items = Array.from({ length: 1000 }, (_, n): JsonObject => ({ n, text: 'שלום'.repeat(100) }))
  const { bytes, chunks } = await written('ndjson', [items])
  t.ok(chunks.length > 5, `${chunks.length} chunks`)
  t.ok(chunks.every(({ length }) => length < 200_000), 'none of them is large')
  t.equal(bytes, Buffer.concat(chunks).length)
})

t.test('an export that an error cuts has no end', async (t) => {
  const { chunks, totals } = encodeExport(failing(), formatOf('ndjson', CSV))
  let text = ''
  await t.rejects(async () => {
    for await (const chunk of chunks) text += String(chunk)
  }, /defect/)
  t.match(text, '{"id":')
  t.notMatch(text, '"export"')
  t.equal(totals().end, undefined)
})

async function * failing (): AsyncGenerator<ExportStep, void, void> {
  yield { kind: 'events', events: identify([{ a: 1 }]) }
  throw new Error('a defect')
}
