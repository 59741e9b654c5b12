import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import type { Readable, Transform } from 'node:stream'

const DECODERS: Record<string, () => Transform> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress
}

/** The body as text; or why not: over the cap, or in an encoding that was not asked for. */
export type BodyText = { readonly text: string } | 'too-large' | 'unknown-encoding'

/**
 * Reads a body to its end, counting the bytes *after* decompression, so that a small answer cannot become a large one.
 * Whatever happens, the stream is finished or destroyed. Throws what the stream throws (reset, abort, corrupt gzip).
 */
export async function readBody (body: Readable, encoding: string | undefined, mostBytes: number): Promise<BodyText> {
  const decoder = encoding === undefined || encoding === 'identity'
    ? undefined
    : DECODERS[encoding.trim().toLowerCase()]
  if (decoder === undefined && encoding !== undefined && encoding !== 'identity') {
    discardBody(body)
    return 'unknown-encoding'
  }
  const stream = decoder === undefined ? body : decode(body, decoder())
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > mostBytes) return 'too-large'
      chunks.push(chunk)
    }
  } finally {
    stream.destroy()
    discardBody(body)
  }
  return { text: Buffer.concat(chunks, bytes).toString('utf8') }
}

/** Ends a body that nobody will read, and its connection with it where it is not at its end. */
export function discardBody (body: Readable): void {
  body.on('error', () => {}) // Destroying it early is an error to undici.
  body.destroy()
}

function decode (body: Readable, decoder: Transform): Transform {
  body.on('error', (error) => decoder.destroy(error))
  return body.pipe(decoder)
}
