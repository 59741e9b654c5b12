import type { ServerResponse } from 'node:http'
import { constants, createBrotliCompress, createGzip } from 'node:zlib'
import type { FastifyReply } from 'fastify'
import type { ContentCoding } from '../archive/content-encoding.ts'
import { encodeCursor } from '../audit/cursor.ts'
import { repeat, type Clock } from '../clock.ts'
import type { EncodedExport } from '../export/export-encoder.ts'
import { unreadBytesOf } from './connections.ts'

export interface ExportSenderOptions {
  readonly clock: Clock
  /** How long a caller may read nothing of the bytes that wait, milliseconds. */
  readonly stallMs?: number | undefined
  /** The interval between two checks of that, milliseconds. */
  readonly checkMs?: number | undefined
}

export interface ExportAnswer {
  readonly encoded: EncodedExport
  /** Names and values in turn. */
  readonly headers: readonly string[]
  readonly coding: ContentCoding | undefined
  /** Called when the caller has gone, or reads nothing any more. */
  readonly onGone: () => void
}

/** How the answer ended. `gone`: the caller left; `stalled`: it read nothing for too long. */
export type SentExport = 'sent' | 'gone' | 'stalled'

const STALL_MS = 30_000
const CHECK_MS = 1000
const BROTLI_QUALITY = 4
const GZIP_LEVEL = 6
const TRAILERS = 'x-export-complete, x-export-next'

/**
 * Sends an export: its chunks are pulled as the socket takes them. Trailers tell how it ended. Rejects on an unforeseen
 * error, after the connection is broken: such an answer must not look whole.
 */
export async function sendExport (
  reply: FastifyReply,
  { coding, encoded, headers, onGone }: ExportAnswer,
  { checkMs = CHECK_MS, clock, stallMs = STALL_MS }: ExportSenderOptions
): Promise<SentExport> {
  const response = reply.hijack().raw
  // HTTP/1.0 has no chunks, and so no trailers.
  const hasTrailers = response.req.httpVersion !== '1.0'
  let outcome: SentExport = 'sent'
  response.once('close', () => {
    if (response.writableFinished) return
    if (outcome === 'sent') outcome = 'gone'
    onGone()
  })
  const stopWatch = watch(response, clock, { checkMs, stallMs }, () => {
    outcome = 'stalled'
    response.destroy()
  })
  try {
    response.writeHead(200, [...headers, ...hasTrailers ? ['trailer', TRAILERS] : []])
    await writeBody(response, encoded.chunks, coding)
    const { end } = encoded.totals()
    if (hasTrailers && end !== undefined) {
      const next = end.next === undefined ? '' : encodeCursor(end.next)
      response.addTrailers({ 'x-export-complete': String(end.complete), 'x-export-next': next })
    }
    await ended(response)
    return outcome
  } catch (error) {
    response.destroy()
    throw error
  } finally {
    stopWatch()
  }
}

async function writeBody (
  response: ServerResponse,
  chunks: AsyncIterable<Buffer>,
  coding: ContentCoding | undefined
): Promise<void> {
  if (coding === undefined) return writeAll(chunks, response, response)
  const encoder = encoderOf(coding)
  const failed = new Promise<never>((_resolve, reject) => { encoder.once('error', reject) })
  const read = new Promise<void>((resolve) => {
    encoder.once('end', resolve)
    response.once('close', resolve)
  })
  response.once('close', () => encoder.destroy())
  encoder.pipe(response, { end: false })
  await Promise.race([failed, writeAll(chunks, encoder, response).then(() => encoder.end())])
  await Promise.race([failed, read])
}

/** Writes chunk by chunk, as `sink` has room for them, until the response is closed. */
async function writeAll (
  chunks: AsyncIterable<Buffer>,
  sink: NodeJS.WritableStream,
  response: ServerResponse
): Promise<void> {
  for await (const chunk of chunks) {
    if (response.destroyed) return
    if (!sink.write(chunk)) await drained(sink, response)
  }
}

function drained (sink: NodeJS.WritableStream, response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed) return resolve()
    sink.once('drain', done)
    response.once('close', done)

    function done (): void {
      sink.removeListener('drain', done)
      response.removeListener('close', done)
      resolve()
    }
  })
}

function ended (response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed) return resolve()
    response.once('close', resolve).end(resolve)
  })
}

function encoderOf (coding: ContentCoding) {
  if (coding === 'gzip') return createGzip({ level: GZIP_LEVEL })
  return createBrotliCompress({
    params: {
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY
    }
  })
}

/** Watches whether the caller reads. Bytes that wait for Kubiya are no matter of the caller. */
function watch (
  { req: { socket } }: ServerResponse,
  clock: Clock,
  { checkMs, stallMs }: { readonly checkMs: number, readonly stallMs: number },
  onStalled: () => void
): () => void {
  let before = ''
  let movedMs = clock.monotonicMs()
  return repeat(clock, () => {
    const unreadBytes = unreadBytesOf(socket)
    const now = `${unreadBytes} of ${socket.bytesWritten}`
    if (unreadBytes === 0 || now !== before) movedMs = clock.monotonicMs()
    before = now
    if (clock.monotonicMs() - movedMs >= stallMs) onStalled()
  }, checkMs)
}
