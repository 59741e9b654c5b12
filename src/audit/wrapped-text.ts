/** The text inside a wrapper, and what the wrapper says about it. */
export interface Wrapper {
  /** Such as `msg`, `tool` or `tool_output`. */
  readonly type: string
  readonly tool: string | undefined
  /** The contents of all records, one after the other, with a line break between them. */
  readonly text: string
}

interface Value {
  readonly text: string
  /** Position after the value. */
  readonly end: number
  readonly isQuoted: boolean
}

interface WrapperRecord {
  readonly fields: ReadonlyMap<string, Value>
  readonly end: number
}

const LONGEST_NAME = 32
const LONGEST_WORD = 64
const MOST_FIELDS = 16
/** Each field of a record begins before this position in it. */
const LONGEST_HEAD = 65_536
const [BACKSLASH, QUOTE, DOUBLE_QUOTE, EQUALS, BLANK, NEW_LINE] = [0x5c, 0x27, 0x22, 0x3d, 0x20, 0x0a]
const LARGEST_CODE_POINT = 0x10ffff
/** Escapes with a code: the letter, and its number of hexadecimal digits. */
const CODE_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 }
const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\', "'": "'", '"': '"', n: '\n', r: '\r', t: '\t'
}

/**
 * Reads a text that Kubiya logged as the `repr` of a Python object (docs/kubiya-api.md §2.6). Each line is one record,
 * such as `end=False start=False type='msg' content="…"`. `undefined`: the text has another form. Each character is
 * read a few times at most, so the time is linear in the length of the text.
 */
export function readWrapper (text: string): Wrapper | undefined {
  if (!text.startsWith('end=') && !text.startsWith('start=')) return undefined
  const parts: Wrapper[] = []
  for (let at = 0; at < text.length;) {
    const record = readRecord(text, at)
    const part = record && partOf(record.fields)
    if (record === undefined || part === undefined || part.type !== (parts[0] ?? part).type) return undefined
    parts.push(part)
    at = record.end
  }
  const [first] = parts
  if (first === undefined) return undefined
  const tool = parts.find((part) => part.tool !== undefined)?.tool
  return { type: first.type, tool, text: parts.map((part) => part.text).join('\n') }
}

function partOf (fields: ReadonlyMap<string, Value>): Wrapper | undefined {
  const type = fields.get('type')
  const content = fields.get('content') ?? fields.get('arguments')
  if (type?.isQuoted !== true || content?.isQuoted !== true) return undefined
  const tool = (fields.get('tool_name') ?? fields.get('name'))?.text
  return { type: type.text, tool: tool === '' ? undefined : tool, text: content.text }
}

/** The fields from `start` to the end of the record, which a line break or the end of the text follows. */
function readRecord (text: string, start: number): WrapperRecord | undefined {
  const fields = new Map<string, Value>()
  for (let at = start; fields.size < MOST_FIELDS;) {
    if (at - start > LONGEST_HEAD) return undefined
    const nameEnd = endOfWord(text, at, LONGEST_NAME)
    if (nameEnd === at || text.charCodeAt(nameEnd) !== EQUALS) return undefined
    const name = text.slice(at, nameEnd)
    const value = readValue(text, nameEnd + 1)
    if (value === undefined || fields.has(name)) return undefined
    fields.set(name, value)
    at = value.end + 1
    if (value.end === text.length || text.charCodeAt(value.end) === NEW_LINE) return { fields, end: at }
    if (text.charCodeAt(value.end) !== BLANK) return undefined
  }
  return undefined
}

function readValue (text: string, start: number): Value | undefined {
  const first = text.charCodeAt(start)
  if (first === QUOTE || first === DOUBLE_QUOTE) return readQuoted(text, start + 1, first)
  const end = endOfWord(text, start, LONGEST_WORD)
  return end === start ? undefined : { text: text.slice(start, end), end, isQuoted: false }
}

/** A quoted value, without its escapes. An escape that Python does not write stays as it is. */
function readQuoted (text: string, start: number, quote: number): Value | undefined {
  const parts: string[] = []
  let copied = start
  for (let at = start; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit === quote) {
      return { text: parts.join('') + text.slice(copied, at), end: at + 1, isQuoted: true }
    }
    if (unit !== BACKSLASH) continue
    const escape = readEscape(text, at + 1)
    if (escape !== undefined) {
      parts.push(text.slice(copied, at), escape.text)
      copied = escape.end
    }
    at = (escape?.end ?? at + 2) - 1
  }
  return undefined
}

/** The character of an escape. `start`: the position after the backslash. */
function readEscape (text: string, start: number): { readonly text: string, readonly end: number } | undefined {
  const letter = text.charAt(start)
  if (Object.hasOwn(SIMPLE_ESCAPES, letter)) return { text: SIMPLE_ESCAPES[letter] ?? '', end: start + 1 }
  const digits = Object.hasOwn(CODE_DIGITS, letter) ? CODE_DIGITS[letter] : undefined
  if (digits === undefined) return undefined
  const code = text.slice(start + 1, start + 1 + digits)
  if (code.length < digits || !/^[\da-f]+$/i.test(code)) return undefined
  const point = Number.parseInt(code, 16)
  return point > LARGEST_CODE_POINT ? undefined : { text: String.fromCodePoint(point), end: start + 1 + digits }
}

/** The index after the letters, digits and `_` that begin at a position. A longer word than the bound is cut there. */
function endOfWord (text: string, start: number, longest: number): number {
  let end = start
  while (end - start < longest && isWordUnit(text.charCodeAt(end))) end++
  return end
}

function isWordUnit (unit: number): boolean {
  return (unit >= 0x61 && unit <= 0x7a) || (unit >= 0x41 && unit <= 0x5a) || (unit >= 0x30 && unit <= 0x39) ||
    unit === 0x5f || unit === 0x2e || unit === 0x2d
}
