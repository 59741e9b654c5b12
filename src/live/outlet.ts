import type { Ending } from './endings.ts'
import type { PreparedFrame } from './frames.ts'

/** The port to one listener's connection. Frames arrive in order and whole, or the connection is lost. */
export interface Outlet {
  /** Sends them at once; never more than there is room for, except a single frame while nothing is unsent. */
  send (frames: readonly PreparedFrame[]): void
  /** Bytes that may be sent before the backlog is full. */
  room (): number
  /** Bytes that the listener has not taken yet. */
  unsent (): number
  /** The function to be called whenever something of the backlog has gone. */
  onProgress (resume: () => void): void
  /** Asks for, or gives, a sign of life; tells whether the listener has given one of late. Called every few seconds. */
  keepAlive (): boolean
  /** Closes, after what was sent. */
  end (ending: Ending): void
}
