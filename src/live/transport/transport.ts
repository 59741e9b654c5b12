import type { TransportKind } from '../../instruments.ts'
import type { CloseReason } from './close-codes.ts'
import type { PreparedBatch } from './prepared-batch.ts'

/** The port to one listener's connection. Frames arrive in order and whole, or the connection is lost. */
export interface Transport {
  readonly kind: TransportKind
  /** Sends it at once; never more than there is room for, except while nothing is unsent, or a single small frame. */
  send (prepared: PreparedBatch): void
  /** Bytes that may be sent before the backlog is full. */
  writableBytes (): number
  /** Bytes that the subscriber has not taken yet. */
  backlogBytes (): number
  /** Bytes that it has taken since the stream began, or another number that grows as it takes some. */
  flushedBytes (): number
  /** Calls back once, when all that is unsent now has gone. */
  onFlushed (resume: () => void): void
  /**
   * Asks for, or gives, a sign of life; tells whether the subscriber has given one of late. Called every few seconds.
   */
  keepAlive (): boolean
  /** Closes, after what was sent. */
  end (ending: CloseReason): void
}
