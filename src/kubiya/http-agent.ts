import type { Readable, Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { Agent, type Dispatcher } from 'undici'

/** An HTTP client with its own connections. */
export interface HttpAgent {
  request (options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData>
  /** Aborts the requests in progress. */
  destroy (): Promise<void>
}

/** The body as text, or why it is not read: over the limit, or in an encoding that was not requested. */
export type BodyText = { readonly text: string } | 'too-large' | 'unknown-encoding'

const DECODERS: Record<string, () => Transform> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress
}

export function createHttpAgent (options: Agent.Options): HttpAgent {
  const agent = new Agent(options)
  return { request: (request) => agent.request(request), destroy: () => agent.destroy() }
}

/**
 * Reads a body to its end. The limit counts bytes *after* decompression, so that a small answer cannot become a large
 * one. The stream always ends or is destroyed. Throws the stream's errors (reset, abort, corrupt gzip).
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

/** Drops an unread body. Its connection closes too, unless the body is already complete. */
export function discardBody (body: Readable): void {
  body.on('error', () => {}) // undici emits an error for an early destroy.
  body.destroy()
}

function decode (body: Readable, decoder: Transform): Transform {
  body.on('error', (error) => decoder.destroy(error))
  return body.pipe(decoder)
}
