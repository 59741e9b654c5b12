import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ContentCoding } from '../archive/content-encoding.ts'
import { matchesEtag, negotiateEncoding } from './content-negotiation.ts'

/** A file in memory, with its encodings. All answers share their bytes. */
export interface StaticFile {
  readonly type: string
  /** Weak, because all encodings have the same one. */
  readonly etag: string
  readonly identity: Buffer
  /** Only those that are shorter. */
  readonly encodings: Readonly<Partial<Record<ContentCoding, Buffer>>>
}

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.png': 'image/png'
}
const ENDINGS: ReadonlyArray<readonly [ContentCoding, string]> = [['br', '.br'], ['gzip', '.gz']]
const DIGEST_CHARACTERS = 22 // 132 bits.

/** Reads a file, and its encodings where the build wrote them. Throws if the file is missing, or of an unknown type. */
export async function readStaticFile (path: string): Promise<StaticFile> {
  const type = TYPES[extname(path)]
  if (type === undefined) throw new Error(`no media type is known for ${path}`)
  const encodings = await Promise.all(ENDINGS.map(async ([coding, ending]) => [coding, await readIfThere(path + ending)]))
  return createStaticFile(type, await readFile(path), Object.fromEntries(encodings))
}

/** A file of bytes and their encodings. An encoding that is not shorter is dropped. */
export function createStaticFile (
  type: string,
  identity: Buffer,
  encodings: Readonly<Partial<Record<ContentCoding, Buffer | undefined>>> = {}
): StaticFile {
  const digest = createHash('sha256').update(identity).digest('base64url').slice(0, DIGEST_CHARACTERS)
  const shorter = Object.entries(encodings).filter(([, body]) => body !== undefined && body.length < identity.length)
  return { type, etag: `W/"${digest}"`, identity, encodings: Object.fromEntries(shorter) }
}

/** Sends a file in the best encoding that the request accepts, or a 304. */
export function sendStaticFile (
  { headers }: FastifyRequest,
  reply: FastifyReply,
  { encodings, etag, identity, type }: StaticFile,
  cacheControl: string
): FastifyReply {
  reply.headers({ etag, 'cache-control': cacheControl, vary: 'accept-encoding' })
  if (matchesEtag(headers['if-none-match'], etag)) return reply.code(304).send()
  // Without the header any coding is allowed, but such a client may support none.
  const coding = negotiateEncoding(headers['accept-encoding'] ?? 'identity')
  const body = coding === undefined ? undefined : encodings[coding]
  if (coding !== undefined && body !== undefined) reply.header('content-encoding', coding)
  return reply.type(type).send(body ?? identity)
}

async function readIfThere (path: string): Promise<Buffer | undefined> {
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
}
