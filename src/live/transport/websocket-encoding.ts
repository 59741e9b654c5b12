import { constants, deflateRawSync } from 'node:zlib'
import { exactCopy } from '../../audit/exact-bytes.ts'
import type { PreparedFrame } from './frames.ts'
import type { WireFormat } from './prepared-batch.ts'

const FINAL_TEXT = 0x81 // FIN and opcode 1 (RFC 6455 §5.2). A server does not mask.
const COMPRESSED = 0x40 // RSV1 (RFC 7692 §6).
const SHORT = 125
const MEDIUM = 0xffff
const FLUSH_TAIL_BYTES = 4 // 00 00 ff ff, which the receiver appends again (RFC 7692 §7.2.1).
const DICTIONARY_BYTES = 8192
const LEVEL = 6

const deflatedFrames = new WeakMap<PreparedFrame, Buffer>()

/** One WebSocket text message for each frame, in one buffer. */
export const plainMessages: WireFormat = (frames) => messagesOf(frames.map(({ payload }) => payload), FINAL_TEXT)

/**
 * Messages with `permessage-deflate` (RFC 7692), with the same bytes for every subscriber. They do not refer to earlier
 * messages on the connection, so no connection needs its own compressor. Each frame is compressed once, whatever batch
 * it is in.
 */
export const messagesDeflatedAlone: WireFormat = (frames) =>
  messagesOf(frames.map(deflatedAlone), FINAL_TEXT | COMPRESSED)

/**
 * The same for subscribers that keep their context: a message may refer to messages before it in the same buffer.
 * Events are similar, so that saves more than half of the remaining bytes. But each buffer must be compressed anew.
 */
export const messagesDeflatedTogether: WireFormat = (frames) => {
  const before = Buffer.concat(frames.map(({ payload }) => payload))
  let end = 0
  return messagesOf(frames.map(({ payload }) => {
    const dictionary = before.subarray(Math.max(0, end - DICTIONARY_BYTES), end)
    end += payload.length
    return deflated(payload, dictionary)
  }), FINAL_TEXT | COMPRESSED)
}

function deflatedAlone (frame: PreparedFrame): Buffer {
  const known = deflatedFrames.get(frame)
  if (known !== undefined) return known
  const bytes = exactCopy(deflated(frame.payload)) // A view from zlib keeps 16 384 bytes, whatever its size.
  deflatedFrames.set(frame, bytes)
  return bytes
}

function deflated (payload: Buffer, dictionary?: Buffer): Buffer {
  const bytes = deflateRawSync(payload, {
    level: LEVEL,
    finishFlush: constants.Z_SYNC_FLUSH,
    ...dictionary !== undefined && dictionary.length > 0 && { dictionary }
  })
  return bytes.subarray(0, bytes.length - FLUSH_TAIL_BYTES)
}

function messagesOf (payloads: readonly Buffer[], firstByte: number): Buffer {
  const target = Buffer.allocUnsafeSlow(payloads.reduce((sum, { length }) => sum + headerBytes(length) + length, 0))
  let at = 0
  for (const payload of payloads) {
    at = writeHeader(target, at, firstByte, payload.length)
    at += payload.copy(target, at)
  }
  return target
}

function headerBytes (length: number): number {
  return length <= SHORT ? 2 : length <= MEDIUM ? 4 : 10
}

/** Writes the length in 7 bits, or in 2 or 8 further bytes (RFC 6455 §5.2). */
function writeHeader (target: Buffer, at: number, firstByte: number, length: number): number {
  target[at] = firstByte
  if (length <= SHORT) return target.writeUInt8(length, at + 1)
  if (length <= MEDIUM) return target.writeUInt16BE(length, target.writeUInt8(126, at + 1))
  return target.writeBigUInt64BE(BigInt(length), target.writeUInt8(127, at + 1))
}
