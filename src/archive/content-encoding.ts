import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import { exactCopy } from '../audit/exact-bytes.ts'

/** A content coding (RFC 9110 §8.4.1) other than `identity`. */
export type ContentCoding = 'br' | 'gzip'

/** Compresses a body. */
export type Compress = (body: Buffer, coding: ContentCoding) => Promise<Buffer>

/** One form in which a response is sent: a representation, or the 304. Headers are names and values in turn. */
export interface ResponseForm {
  /** Headers of this form only: `content-type`, `content-length` and `content-encoding`. */
  readonly headers: readonly string[]
  /** The head without what differs between requests. The sender prepares it once: that saves 5 µs of each hit. */
  head?: readonly string[]
}

/** The body of a response in one coding, with the headers that describe it. */
export interface Representation extends ResponseForm {
  readonly body: Buffer
}

/** A response that keeps its encodings. */
export interface Encodable {
  readonly identity: Representation
  /** A promise while the encoding is made. */
  readonly encodings: Partial<Record<ContentCoding, Representation | Promise<Representation>>>
  /** The owner of the response learns that it has one more encoding. Returns whether there is room to keep it. */
  readonly onEncoded: () => boolean
}

/** Returns a response in a coding, at once if that was made before. If compressing fails, returns `identity`. */
export type Encode = (response: Encodable, coding: ContentCoding) => Representation | Promise<Representation>

// More effort costs much more and saves little: measured on pages of events.
const BROTLI_QUALITY = 5
const GZIP_LEVEL = 6
const ENCODING_OVERHEAD_BYTES = 600 // Measured: the headers and objects of one encoding.

const gzipped = promisify(gzip)
const brotlied = promisify(brotliCompress)

/** Creates a function that compresses each response once per coding, whatever the number of requests for it. */
export function createEncoder (compress: Compress, onError: (error: unknown) => void): Encode {
  return (response, coding) => response.encodings[coding] ?? make(response, coding)

  function make (response: Encodable, coding: ContentCoding): Promise<Representation> {
    const { encodings, identity, onEncoded } = response
    const made = compress(identity.body, coding).then((body) => {
      const representation = representationOf(body, coding)
      encodings[coding] = representation
      if (!onEncoded()) delete encodings[coding]
      return representation
    }, (error: unknown) => {
      delete encodings[coding] // The next request tries again.
      onError(error)
      return identity
    })
    encodings[coding] = made
    return made
  }
}

/** A JSON body with its headers. Without a coding, the body is not encoded. */
export function representationOf (body: Buffer, coding?: ContentCoding): Representation {
  const headers = ['content-type', 'application/json; charset=utf-8', 'content-length', String(body.length)]
  if (coding !== undefined) headers.push('content-encoding', coding)
  return { body, headers }
}

/** How many bytes the finished encodings of a response hold. */
export function encodedBytes ({ encodings }: Pick<Encodable, 'encodings'>): number {
  return Object.values(encodings).reduce(
    (sum, each) => each instanceof Promise ? sum : sum + each.body.length + ENCODING_OVERHEAD_BYTES,
    0
  )
}

/**
 * Compresses in the thread pool, so that no other request waits. The copy matters: zlib returns a small body as a
 * piece of a larger buffer (bodies of 0.5 KB held 12 KB each).
 */
export const compress: Compress = async (body, coding) => exactCopy(await compressed(body, coding))

function compressed (body: Buffer, coding: ContentCoding): Promise<Buffer> {
  if (coding === 'gzip') return gzipped(body, { level: GZIP_LEVEL })
  return brotlied(body, {
    params: {
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: body.length
    }
  })
}
