import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import { exactCopy } from '../audit/exact-bytes.ts'

/** A content coding (RFC 9110 §8.4.1) other than `identity`. */
export type ContentCoding = 'br' | 'gzip'

/** Makes a body smaller. */
export type Compress = (body: Buffer, coding: ContentCoding) => Promise<Buffer>

// Where more effort begins to cost much and to win little, by measurement on pages of events.
const BROTLI_QUALITY = 5
const GZIP_LEVEL = 6

const gzipped = promisify(gzip)
const brotlied = promisify(brotliCompress)

/** Compresses in the thread pool, so that nobody else waits. As zlib gives them, bodies of 0.5 KB held 12 KB each. */
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
