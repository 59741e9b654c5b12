import type { TransportKind } from '../../instruments.ts'
import type { CloseReason } from './close-codes.ts'
import type { PreparedBatch } from './prepared-batch.ts'

/** The port to the connection of one subscriber. Frames arrive complete and in order, or the connection is lost. */
export interface Transport {
  readonly kind: TransportKind
  /**
   * Sends a batch at once. The caller sends at most `writableBytes`, except when the backlog is empty, or for a single
   * small frame.
   */
  send (prepared: PreparedBatch): void
  /** Bytes that may be sent before the backlog is full. */
  writableBytes (): number
  /** Bytes that were sent and not accepted by the subscriber yet. */
  backlogBytes (): number
  /** A counter that grows with the bytes that the subscriber accepts. */
  flushedBytes (): number
  /** Calls `resume` once, when everything that was sent before is flushed. */
  onFlushed (resume: () => void): void
  /** Called every few seconds: sends a ping or comment if needed. Returns false if the subscriber no longer answers. */
  keepAlive (): boolean
  /** Closes the connection after everything that was sent before. */
  end (ending: CloseReason): void
}
