import type { GapReason } from '../../audit/log-batch.ts'
import type { PreparedFrame } from './frames.ts'

/** How frames are written on one kind of connection: the same bytes for the same frames. */
export type WireFormat = (frames: readonly PreparedFrame[]) => Buffer

/** Frames that are sent together, encoded once for each format, however many subscribers receive them. */
export interface PreparedBatch {
  readonly kind: 'batch'
  readonly frames: readonly PreparedFrame[]
  /** Of the payloads. */
  readonly bytes: number
  /** How many of the frames are events. */
  readonly events: number
  /** Of those that are gaps, the reasons. */
  readonly gaps: readonly GapReason[]
  /** How many are likely to be sent the same, and so how much effort it is worth; 0: it is one listener's own. */
  readonly recipients: number
  encoded (format: WireFormat): Buffer
}

/** `onMade` is told how many bytes each format came to, where the batch is kept. */
export function prepareBatch (
  frames: readonly PreparedFrame[],
  recipients = 0,
  onMade?: (bytes: number) => void
): PreparedBatch {
  let encoded: Map<WireFormat, Buffer> | undefined

  return {
    kind: 'batch',
    frames,
    bytes: frames.reduce((sum, { payload }) => sum + payload.length, 0),
    events: frames.reduce((sum, { type }) => type === 'event' ? sum + 1 : sum, 0),
    gaps: frames.flatMap(({ reason }) => reason ?? []),
    recipients,
    encoded (format) {
      encoded ??= new Map()
      const known = encoded.get(format)
      if (known !== undefined) return known
      const made = format(frames)
      encoded.set(format, made)
      onMade?.(made.length)
      return made
    }
  }
}

/** Collects the frames of one batch. */
export interface BatchBuilder {
  readonly frames: readonly PreparedFrame[]
  /** Returns false, and leaves the frame out, where the batch has no room for it. */
  add (frame: PreparedFrame): boolean
}

const MOST_FRAMES = 256

/** A batch of at most `mostBytes` and at most `room`. A first frame may be larger than `mostBytes`, not than `room`. */
export function createBatchBuilder (room: number, mostBytes: number): BatchBuilder {
  const frames: PreparedFrame[] = []
  let left = Math.min(room, mostBytes)

  return {
    frames,
    add (frame) {
      const { length } = frame.payload
      if (frames.length === MOST_FRAMES || length > (frames.length === 0 ? room : left)) return false
      frames.push(frame)
      left -= length
      return true
    }
  }
}
