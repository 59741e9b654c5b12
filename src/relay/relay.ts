import type { Announcement, Batch } from '../audit/batch.ts'

/**
 * The port between the replica that polls and all that serve, itself included. It numbers what is announced and gives it
 * to every follower: in one order, each batch whole, none twice. `announce` resolves when the batch can no longer be lost.
 */
export interface Relay {
  /** The numbering that offsets belong to. */
  readonly epoch: string
  announce (announcement: Announcement): Promise<void>
  follow (take: (batch: Batch) => void): void
  /** Whether this replica is the one to poll. */
  leads (): boolean
}
