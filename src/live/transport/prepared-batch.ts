import type { GapReason, NewEntry } from '../../audit/log-batch.ts'
import type { PreparedFrame } from './frames.ts'

/** The encoding of frames on one kind of connection. Equal frames give equal bytes. */
export type WireFormat = (frames: readonly PreparedFrame[]) => Buffer

/** Frames that are sent together. They are encoded once for each format, for any number of subscribers. */
export interface PreparedBatch {
  readonly kind: 'batch'
  readonly frames: readonly PreparedFrame[]
  /** Bytes of all payloads. */
  readonly bytes: number
  /** The number of event frames. */
  readonly events: number
  /** The reasons of the gap frames. */
  readonly gaps: readonly GapReason[]
  /** How many subscribers will probably receive it: more are worth more compression. 0: one subscriber only. */
  readonly recipients: number
  encoded (format: WireFormat): Buffer
}

/** `onEncoded` is called with the bytes of each new encoding, so that a cache can count them. */
export function prepareBatch (
  frames: readonly PreparedFrame[],
  recipients = 0,
  onEncoded?: (bytes: number) => void
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
      const bytes = format(frames)
      encoded.set(format, bytes)
      onEncoded?.(bytes.length)
      return bytes
    }
  }
}

/** Collects the frames of one batch from entries that are judged one after the other. */
export interface BatchBuilder {
  readonly frames: readonly PreparedFrame[]
  /**
   * Returns false where other subscribers should have their turn before this entry is judged. The first entry is always
   * judged, however large it is.
   */
  judge (entry: NewEntry): boolean
  /** Returns false, without adding the frame, if the batch has no room for it. */
  add (frame: PreparedFrame): boolean
}

const MOST_FRAMES = 256
/** Most entries that are judged for one batch. Counts keep a turn within some ms, and every machine cuts alike. */
export const MOST_JUDGED = 256
const MOST_CHARACTERS = 512 * 1024

/**
 * Builds a batch of at most `mostBytes` and at most `room`, both in bytes. The first frame may be larger than
 * `mostBytes`, but not larger than `room`.
 */
export function createBatchBuilder (room: number, mostBytes: number): BatchBuilder {
  const frames: PreparedFrame[] = []
  let left = Math.min(room, mostBytes)
  let judged = 0
  let characters = 0

  return {
    frames,
    judge (entry) {
      if (judged === MOST_JUDGED || characters > MOST_CHARACTERS) return false
      judged++
      if ('event' in entry) characters += entry.event.json.length
      return true
    },
    add (frame) {
      const { length } = frame.payload
      if (frames.length === MOST_FRAMES || length > (frames.length === 0 ? room : left)) return false
      frames.push(frame)
      left -= length
      return true
    }
  }
}
