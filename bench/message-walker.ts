/** Finds the messages in a WebSocket's bytes (RFC 6455 §5.2), however they are cut; copies nothing. */
export interface Walker {
  /** Messages, and pings, that end in this chunk. */
  walk (chunk: Buffer): void
}

export interface Counts {
  messages: number
  pings: number
  /** Whether a close frame was met. */
  closed: boolean
}

const [CLOSE, PING] = [8, 9]
const LONGEST_HEADER = 10

/** Called with each piece of a data message's payload, in order; `ends` with the last. */
export type OnPayload = (piece: Buffer, ends: boolean, isCompressed: boolean) => void

export function createWalker (counts: Counts, onPayload?: OnPayload): Walker {
  const header = Buffer.alloc(LONGEST_HEADER)
  let filled = 0
  let left = -1 // Of a payload; -1: in a header.

  return { walk }

  function walk (chunk: Buffer): void {
    for (let at = 0; at < chunk.length || left === 0;) {
      if (left < 0) {
        header[filled++] = chunk[at++] ?? 0
        if (filled < 2 || filled < headerBytes(header)) continue
        left = payloadBytes(header)
        filled = 0
      }
      const piece = Math.min(left, chunk.length - at)
      left -= piece
      if (onPayload !== undefined && isData(header)) {
        onPayload(chunk.subarray(at, at + piece), left === 0, (header.readUInt8(0) & 0x40) !== 0)
      }
      at += piece
      if (left > 0) return
      ended()
    }
  }

  function ended (): void {
    left = -1
    const opcode = header.readUInt8(0) & 0x0f
    if (isData(header)) counts.messages++
    else if (opcode === PING) counts.pings++
    else if (opcode === CLOSE) counts.closed = true
  }
}

function isData (header: Buffer): boolean {
  return (header.readUInt8(0) & 0x0f) < CLOSE
}

function headerBytes (header: Buffer): number {
  const length = header.readUInt8(1)
  return length < 126 ? 2 : length === 126 ? 4 : 10
}

function payloadBytes (header: Buffer): number {
  const length = header.readUInt8(1)
  if (length < 126) return length
  return length === 126 ? header.readUInt16BE(2) : Number(header.readBigUInt64BE(2))
}
