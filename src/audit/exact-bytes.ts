/**
 * A buffer with its own memory, for bytes that are stored for long. Node cuts small buffers from shared blocks of 8
 * KiB, and zlib returns views of blocks of 16 KiB. One small buffer keeps its whole block in memory.
 */
export function exactBuffer (text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text))
  bytes.write(text)
  return bytes
}

/** The same text in one piece. V8 keeps all parts of a joined text, and the whole text that a part was cut from. */
export function flatText (text: string): string {
  return Buffer.from(text).toString()
}

/** The same bytes in a block of exactly their size. They are copied only if their block is larger. */
export function exactCopy (bytes: Buffer): Buffer {
  return bytes.length === bytes.buffer.byteLength ? bytes : exactConcat([bytes])
}

/** Concatenates all pieces into one block of exactly their size. */
export function exactConcat (pieces: readonly Buffer[]): Buffer {
  const joined = Buffer.allocUnsafeSlow(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) at += piece.copy(joined, at)
  return joined
}
