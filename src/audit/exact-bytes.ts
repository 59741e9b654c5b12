/**
 * Bytes of their own for what is kept for long. Node cuts small buffers from shared blocks of 8 KiB, and zlib gives
 * views of blocks of 16 KiB: one piece keeps its whole block in memory.
 */
export function exactBuffer (text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text))
  bytes.write(text)
  return bytes
}

/** The same text in one piece, where it was joined or cut from others, which it would keep. */
export function flatText (text: string): string {
  return Buffer.from(text).toString()
}

/** The same bytes in a block of just their size; no copy where they fill theirs. */
export function exactCopy (bytes: Buffer): Buffer {
  return bytes.length === bytes.buffer.byteLength ? bytes : exactConcat([bytes])
}

/** All pieces, one behind the other. */
export function exactConcat (pieces: readonly Buffer[]): Buffer {
  const joined = Buffer.allocUnsafeSlow(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) at += piece.copy(joined, at)
  return joined
}
