import { once } from 'node:events'
import { request, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'

export const EXPORT = '/api/v1/audit/export'

/** What the end of an export says. */
export interface End {
  readonly complete: boolean
  readonly events: number
  readonly next: string | null
  readonly sha256: string
  readonly skipped?: unknown[]
}

/** A whole answer. */
export interface Exported {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly trailers: NodeJS.Dict<string>
  readonly text: string
}

/** An answer whose body nobody has read yet. */
export interface OpenAnswer {
  readonly asked: ClientRequest
  readonly response: IncomingMessage
}

/** Asks for an export over a connection of its own. */
export async function opened (url: string, search = '', headers: Record<string, string> = {}): Promise<OpenAnswer> {
  const asked = request(`${url}${EXPORT}${search}`, { agent: false, headers }).end()
  const [response] = await once(asked, 'response') as [IncomingMessage]
  return { asked, response }
}

/** Reads the rest of an answer. Rejects if it was cut off. */
export async function readOut ({ response }: Pick<OpenAnswer, 'response'>): Promise<Exported> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  const { headers, statusCode: status = 0, trailers } = response
  return { status, headers, trailers, text: decoded(Buffer.concat(chunks), headers['content-encoding']).toString() }
}

export async function exported (url: string, search = '', headers: Record<string, string> = {}): Promise<Exported> {
  return readOut(await opened(url, search, headers))
}

/** The lines of events of an NDJSON export, and its end. */
export function ndjsonOf ({ text }: Pick<Exported, 'text'>): { readonly lines: string[], readonly end: End } {
  const lines = text.split('\n').slice(0, -1)
  const { export: end } = JSON.parse(lines.pop() ?? '') as { export: End }
  return { lines, end }
}

function decoded (body: Buffer, coding: string | undefined): Buffer {
  if (coding === 'gzip') return gunzipSync(body)
  return coding === 'br' ? brotliDecompressSync(body) : body
}

/** The parts of an export, from the first one to the one without a `next`. */
export async function exportedParts (url: string, search: string): Promise<{ lines: string[], completes: boolean[] }> {
  const lines: string[] = []
  const completes: boolean[] = []
  for (let query: string | null = search; query !== null;) {
    const { end, lines: more } = ndjsonOf(await exported(url, query))
    lines.push(...more)
    completes.push(end.complete)
    query = end.next === null ? null : `?cursor=${end.next}`
  }
  return { lines, completes }
}
