import type { PreparedFrame } from './frames.ts'

/** A frame that is to be sent next, if there is room for it. */
export interface Due {
  readonly frame: PreparedFrame
  /** It is being sent: moves on. */
  accept (): void
}
