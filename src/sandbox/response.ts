import { textWithId, type Entry } from './history/entry.ts'
import type { Quirks } from './quirks.ts'

/** An answer, before it is sent. */
export interface Answer {
  status: number
  headers: Record<string, string>
  body: string
}

/** Changes rows before they are sent. */
export type Change = (rows: unknown[]) => unknown[]

const HTML_PAGE = '<!doctype html><html><head><title>Sign in</title></head><body><h1>Sign in</h1></body></html>'

const ERROR_CODES: Record<number, string> = {
  400: 'INVALID_REQUEST', 401: 'INVALID_API_KEY', 403: 'INSUFFICIENT_SCOPE', 404: 'NOT_FOUND', 429: 'RATE_LIMITED'
}

export function jsonAnswer (body: string, status = 200, headers: Record<string, string> = {}): Answer {
  return { status, headers: { 'content-type': 'application/json; charset=utf-8', ...headers }, body }
}

export function htmlAnswer (): Answer {
  return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: HTML_PAGE }
}

/** An error in the form of Kubiya's documentation. */
export function refusal (status: number, details: string, headers: Record<string, string> = {}): Answer {
  const errorCode = ERROR_CODES[status] ?? 'UPSTREAM_ERROR'
  return jsonAnswer(JSON.stringify({ error: errorCode.toLowerCase(), details, errorCode, status }), status, headers)
}

/** A list in the shape of the quirks. */
export function listAnswer (rows: Entry[], page: number, quirks: Quirks, change: Change | undefined): Answer {
  const texts = changed(rows.map((entry) => textWithId(entry, quirks.ids)), change)
  if (texts.length === 0 && quirks.empty !== 'array') return emptyAnswer(quirks.empty)
  const array = `[${texts.join(',')}]`
  if (quirks.shape === 'array') return jsonAnswer(array)
  if (quirks.shape === 'data') return jsonAnswer(`{"data":${array}}`)
  return jsonAnswer(`{"items":${array},"pagination":{"page":${page},"count":${texts.length}},"success":true}`)
}

/** One event in the shape of the quirks, or a 404. */
export function itemAnswer (entry: Entry | undefined, quirks: Quirks, change: Change | undefined): Answer {
  const [text] = changed(entry === undefined ? [] : [textWithId(entry, quirks.ids)], change)
  return text === undefined ? refusal(404, 'no such audit item') : jsonAnswer(text)
}

function changed (texts: string[], change: Change | undefined): string[] {
  if (change === undefined) return texts
  return change(texts.map((text): unknown => JSON.parse(text))).map((row) => JSON.stringify(row))
}

function emptyAnswer (empty: 'null' | '204' | 'items-null'): Answer {
  if (empty === '204') return { status: 204, headers: {}, body: '' }
  return jsonAnswer(empty === 'null' ? 'null' : '{"items":null}')
}
