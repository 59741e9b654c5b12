import { Type, type Static } from '@sinclair/typebox'
import { decodeCursor } from '../audit/cursor.ts'
import { AuditFilter, MOST_FILTER_BYTES, filterBytes, isFilter, pickFilter } from '../audit/filter.ts'
import {
  DEFAULT_COLUMNS,
  DELIMITERS,
  LONGEST_COLUMNS,
  MOST_COLUMNS,
  isPath,
  type CsvOptions,
  type DelimiterName
} from '../export/csv.ts'
import { FORMATS, type FormatName } from '../export/export-format.ts'
import type { ExportQuery } from '../export/export-request.ts'
import type { ProblemCode } from '../problems.ts'
import { cursor, filterFault, readTimes, startsAfterEnd, time, type Fault } from './parameters.ts'

const LONGEST_TICKET = 64
const MOST_NAMED_COLUMNS = 10
const LONGEST_NAMED_COLUMN = 60
const DECIMAL = /^\d{1,15}$/
const CSV_PARAMETERS = ['columns', 'bom', 'delimiter', 'guard'] as const
// What may stand beside a cursor: how the events are written, and who asks.
const BESIDE_CURSOR = new Set<string>(['cursor', 'format', 'ticket', ...CSV_PARAMETERS])

const oneOf = <const Name extends string>(names: readonly Name[], description: string) =>
  Type.Optional(Type.Unsafe<Name>({ type: 'string', enum: [...names], description }))

/** The parameters of an export without a ticket. `exportLimit`: the most events of one export. */
export function exportParameters (exportLimit: number) {
  return Type.Object({
    ...AuditFilter.properties,
    start_time: time('Lower bound, inclusive; default 24 h before the end, with `session_id` none.', '-6h'),
    end_time: time('Upper bound, inclusive; default now.', '2030-01-01T00:00:00Z'),
    format: oneOf(FORMATS, 'How the events are written; default `ndjson`.'),
    sort_direction: oneOf(['asc', 'desc'], 'By instant, then id; default `asc`.'),
    limit: Type.Optional(Type.Integer({
      minimum: 1,
      maximum: exportLimit,
      description: `Largest number of events; default ${exportLimit}. Beyond it, the export is incomplete.`,
      examples: [10_000]
    })),
    cursor: cursor(
      'Where an incomplete export continues, from its `next`. It contains the query: send no other parameter than ' +
        '`format` and those of CSV.'
    ),
    columns: Type.Optional(Type.String({
      minLength: 1,
      maxLength: LONGEST_COLUMNS,
      description:
        `CSV: at most ${MOST_COLUMNS} paths into the event, separated by commas, such as \`extra.tool_name\`. ` +
          '`session_id` is `extra.session_id`, or `session_id` without it. ' +
          `Default \`${DEFAULT_COLUMNS.join(',')}\`.`,
      examples: ['timestamp,email,extra.tool_name']
    })),
    bom: Type.Optional(Type.Boolean({ description: 'CSV: begins with a byte order mark; default false.' })),
    delimiter: oneOf(Object.keys(DELIMITERS) as DelimiterName[], 'CSV: between two cells; default `comma`.'),
    guard: Type.Optional(Type.Boolean({
      description:
        "CSV: puts `'` in front of a cell that a spreadsheet could take for a formula; default true. Such a cell " +
          'begins with `=`, `+`, `-`, `@`, a tab or a line break.'
    }))
  }, { additionalProperties: false })
}

const TICKET = Type.Optional(Type.String({
  minLength: 1,
  maxLength: LONGEST_TICKET,
  description:
    "Replaces the caller's credential where `Authorization` cannot be sent. From `POST /export/tickets` with the same " +
      'parameters, for one export.'
}))

/** The parameters of an export. */
export function ticketedExportParameters (exportLimit: number) {
  return Type.Object({ ...exportParameters(exportLimit).properties, ticket: TICKET }, { additionalProperties: false })
}

export type ExportParameters = Static<ReturnType<typeof ticketedExportParameters>>

export interface ParsedExport {
  readonly ok: true
  readonly query: ExportQuery
  readonly format: FormatName
  readonly csv: CsvOptions
}

export interface ExportReading {
  /** As the validator left them. */
  readonly parameters: ExportParameters
  /** What the validator found. */
  readonly faults: Fault['errors']
  /** The query string, where numbers are as they were written. */
  readonly search: string
  readonly exportLimit: number
  /** Kubiya's clock, milliseconds since 1970. */
  readonly nowMs: number
}

/** Reads the parameters of an export. A fault names everything that is wrong. */
export function readExportQuery (reading: ExportReading): ParsedExport | Fault {
  const { parameters } = reading
  const { format = 'ndjson' } = parameters
  const invalid = new Set(reading.faults.map(({ parameter }) => parameter))
  const faults: Fault[] = [
    ...reading.faults.length > 0 ? [fault('invalid-parameter', reading.faults)] : [],
    ...numberFaults(reading.search, invalid),
    ...invalid.has('format') ? [] : formatFaults(parameters, format, invalid),
    ...invalid.has('columns') ? [] : columnFaults(parameters.columns)
  ]
  const query = parameters.cursor === undefined || invalid.has('cursor')
    ? readQuery(reading, invalid, faults)
    : followCursor(reading, parameters.cursor, invalid, faults)
  if (faults.length > 0 || query === undefined) return joined(faults)
  const { bom = false, columns, delimiter = 'comma', guard = true } = parameters
  return { ok: true, query, format, csv: { bom, columns: columnsOf(columns), delimiter, guard } }
}

function readQuery (
  { exportLimit, nowMs, parameters }: ExportReading,
  invalid: ReadonlySet<string>,
  faults: Fault[]
): ExportQuery | undefined {
  const filter = pickFilter(parameters)
  const hasInvalidField = Object.keys(filter).some((name) => invalid.has(name))
  const large = hasInvalidField ? undefined : filterFault(filter)
  if (large !== undefined) faults.push(large)
  const { end_time: end, limit = exportLimit, sort_direction: direction = 'asc', start_time: start } = parameters
  const times = readTimes({
    start_time: invalid.has('start_time') ? undefined : start,
    end_time: invalid.has('end_time') ? undefined : end
  })
  if (!times.ok) {
    faults.push(times)
    return undefined
  }
  const { end_time: until, start_time: from } = times.bounds
  const window = { start: from, end: until, unbounded: filter.session_id !== undefined }
  if (startsAfterEnd({ ...window, end: until ?? { kind: 'ago', seconds: 0 } }, nowMs)) {
    faults.push(fault('invalid-parameter', [{ parameter: 'start_time', message: 'must not be after end_time' }]))
  }
  return { filter, window, direction, limit }
}

function followCursor (
  { exportLimit, parameters }: ExportReading,
  text: string,
  invalid: ReadonlySet<string>,
  faults: Fault[]
): ExportQuery | undefined {
  const message = 'cannot be combined with cursor'
  const others = Object.keys(parameters).filter((name) => !BESIDE_CURSOR.has(name) && !invalid.has(name))
  if (others.length > 0) faults.push(fault('invalid-parameter', others.map((parameter) => ({ parameter, message }))))
  const cursor = decodeCursor(text)
  if (cursor?.kind === 'export' && isFilter(cursor.filter, AuditFilter.properties) &&
    filterBytes(cursor.filter) <= MOST_FILTER_BYTES) {
    const { after, direction, filter, hasSkipped, window } = cursor
    return { filter, window, direction, limit: exportLimit, after, hasSkipped }
  }
  faults.push(fault('invalid-cursor', [{ parameter: 'cursor', message: "is no cursor of this service's export" }]))
  return undefined
}

/** JavaScript also reads `0x10`, `1e2` and a blank as numbers, most likely by mistake. */
function numberFaults (search: string, invalid: ReadonlySet<string>): Fault[] {
  const limit = new URLSearchParams(search).get('limit')
  if (limit === null || DECIMAL.test(limit) || invalid.has('limit')) return []
  return [fault('invalid-parameter', [{ parameter: 'limit', message: 'must be a number in decimal digits' }])]
}

function formatFaults (parameters: ExportParameters, format: FormatName, invalid: ReadonlySet<string>): Fault[] {
  const names = format === 'csv' ? [] : CSV_PARAMETERS
  const given = names.filter((name) => parameters[name] !== undefined && !invalid.has(name))
  const message = 'applies to format=csv only'
  return given.length === 0 ? [] : [fault('invalid-parameter', given.map((parameter) => ({ parameter, message })))]
}

function columnFaults (columns: string | undefined): Fault[] {
  if (columns === undefined) return []
  const paths = columns.split(',')
  const wrong = paths.filter((path) => !isPath(path)).slice(0, MOST_NAMED_COLUMNS).map(named)
  return [
    ...wrong.length > 0 ? [`no path: ${wrong.join(', ')}`] : [],
    ...paths.length > MOST_COLUMNS ? [`must be at most ${MOST_COLUMNS} paths, not ${paths.length}`] : []
  ].map((message) => fault('invalid-parameter', [{ parameter: 'columns', message }]))
}

function named (path: string): string {
  return JSON.stringify(path.length <= LONGEST_NAMED_COLUMN ? path : `${path.slice(0, LONGEST_NAMED_COLUMN)}…`)
}

function columnsOf (columns: string | undefined): readonly string[] {
  return columns === undefined ? DEFAULT_COLUMNS : columns.split(',')
}

function fault (code: ProblemCode, errors: Fault['errors']): Fault {
  return { ok: false, code, errors }
}

/** One fault with all errors. An invalid parameter comes before an invalid time or cursor. */
function joined (faults: readonly Fault[]): Fault {
  const [first] = faults
  const code = faults.some((each) => each.code === 'invalid-parameter') ? 'invalid-parameter' : first?.code
  return fault(code ?? 'invalid-parameter', faults.flatMap(({ errors }) => errors))
}
