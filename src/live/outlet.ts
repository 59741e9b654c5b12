import type { Ending } from './endings.ts'
import type { PreparedFrame } from './frames.ts'

/** The port to one listener's connection. Frames arrive in order and whole, or the connection is lost. */
export interface Outlet {
  send (frames: readonly PreparedFrame[]): void
  /** Whether so much is unsent that writing should pause; `onDrain` tells when it may go on. */
  isFull (): boolean
  /** The listener to be told when the backlog is gone. */
  onDrain (resume: () => void): void
  /** Closes, after what was sent. */
  end (ending: Ending): void
}
