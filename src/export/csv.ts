import { isJsonObject, scalarText, writeJson, type Json, type JsonObject } from '../audit/exact-json.ts'
import type { AuditEvent } from '../audit/event.ts'
import { withoutUpstreamId } from '../audit/upstream-id.ts'
import type { ExportFormat } from './export-format.ts'
import { incompleteLine } from './incomplete-line.ts'

export const DELIMITERS = { comma: ',', semicolon: ';', tab: '\t' } as const
export type DelimiterName = keyof typeof DELIMITERS

export interface CsvOptions {
  /** Dot paths into the event. */
  readonly columns: readonly string[]
  readonly delimiter: DelimiterName
  /** Whether the file begins with a byte order mark, by which some programs recognise UTF-8. */
  readonly bom: boolean
  /** Whether a cell that a spreadsheet could take for a formula begins with an apostrophe. */
  readonly guard: boolean
}

export const DEFAULT_COLUMNS = [
  'timestamp',
  'email',
  'category_type',
  'category_name',
  'resource_type',
  'resource_text',
  'action_type',
  'action_successful',
  'session_id',
  'id',
  'org',
  'scope',
  'version',
  'extra'
] as const

export const MOST_COLUMNS = 50
/** Longest list of columns, in characters. */
export const LONGEST_COLUMNS = 2000
const PATH = /^[\p{L}\p{N}_$@:/-]{1,100}(?:\.[\p{L}\p{N}_$@:/-]{1,100}){0,9}$/u
const INDEX = /^(?:0|[1-9]\d{0,5})$/
const LINE_END = '\r\n'
const BYTE_ORDER_MARK = '\ufeff'
// A spreadsheet may read such a cell as a formula, also after it has dropped the first character.
const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/
// Any delimiter: a program that splits at another one than ours must not find a formula behind it.
const NEEDS_QUOTES = /[",;\t\r\n]/

/** Whether a text is a path of 1 to 10 names, with a dot between two of them. */
export function isPath (text: string): boolean {
  return PATH.test(text)
}

/** CSV by RFC 4180: with a header, CRLF, and quotes where they are needed. */
export function csvFormat ({ bom, columns, delimiter, guard }: CsvOptions): ExportFormat {
  const separator = DELIMITERS[delimiter]
  const read = columns.map(readerOf)
  const isSingle = columns.length === 1
  const cell = (text: string) => {
    const guarded = guard && FORMULA.test(text) && text !== '-' ? `'${text}` : text
    if (NEEDS_QUOTES.test(guarded)) return `"${guarded.replaceAll('"', '""')}"`
    return guarded === '' && isSingle ? '""' : guarded // An empty line is no record to many readers.
  }
  const record = (texts: readonly string[]) => texts.map(cell).join(separator) + LINE_END

  return {
    mediaType: 'text/csv; charset=utf-8; header=present',
    extension: 'csv',
    head: (bom ? BYTE_ORDER_MARK : '') + record(columns),
    event: (event) => record(read.map((each) => each(event))),
    end: (summary) => incompleteLine(summary, LINE_END)
  }
}

/** Reads one cell. The session is that of the filter: `extra.session_id`, or `session_id`. */
function readerOf (path: string): (event: AuditEvent) => string {
  if (path === 'id') return ({ id }) => id
  if (path === 'session_id') return ({ item }) => textAt(item, ['extra', path]) || textAt(item, [path])
  const names = path.split('.')
  // Only these names may differ between the item and the published event.
  if (path.startsWith('upstream_id')) return ({ item }) => textAt(withoutUpstreamId(item), names)
  return ({ item }) => textAt(item, names)
}

function textAt (item: JsonObject, names: readonly string[]): string {
  let value: Json | undefined = item
  for (const name of names) value = memberOf(value, name)
  if (value === undefined || value === null) return ''
  return scalarText(value) ?? writeJson(value)
}

function memberOf (value: Json | undefined, name: string): Json | undefined {
  if (Array.isArray(value)) return INDEX.test(name) ? value[Number(name)] : undefined
  return isJsonObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
}
