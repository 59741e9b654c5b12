import type { Announcement, Batch } from '../audit/log-batch.ts'

/**
 * The port between the replica that polls and all that serve, itself included. It numbers what is announced and gives
 * it to every subscriber: in one order, each batch whole, none twice. `publish` resolves when the batch can no longer
 * be lost.
 */
export interface Relay {
  /** The numbering that offsets belong to. */
  readonly epoch: string
  publish (announcement: Announcement): Promise<void>
  subscribe (take: (batch: Batch) => void): void
  /** Whether this replica is the one to poll. */
  isLeader (): boolean
}
