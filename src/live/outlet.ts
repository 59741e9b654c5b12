import type { OutletKind } from '../meters.ts'
import type { Ending } from './endings.ts'
import type { Parcel } from './parcel.ts'

/** The port to one listener's connection. Frames arrive in order and whole, or the connection is lost. */
export interface Outlet {
  readonly kind: OutletKind
  /** Sends it at once; never more than there is room for, except while nothing is unsent, or a single small frame. */
  send (parcel: Parcel): void
  /** Bytes that may be sent before the backlog is full. */
  room (): number
  /** Bytes that the listener has not taken yet. */
  unsent (): number
  /** Bytes that it has taken since the stream began, or another number that grows as it takes some. */
  taken (): number
  /** Calls back once, when all that is unsent now has gone. */
  afterwards (resume: () => void): void
  /** Asks for, or gives, a sign of life; tells whether the listener has given one of late. Called every few seconds. */
  keepAlive (): boolean
  /** Closes, after what was sent. */
  end (ending: Ending): void
}
