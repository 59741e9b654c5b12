import { randomBytes } from 'node:crypto'
import type { Batch } from '../audit/log-batch.ts'
import type { Relay } from './relay.ts'

/** The relay of a single process: a counter and a loop-back. Its numbering ends with the process. */
export function createLocalRelay (epoch = randomBytes(8).toString('hex')): Relay {
  const followers: Array<(batch: Batch) => void> = []
  let next = 0

  return {
    epoch,
    isLeader: () => true,
    subscribe: (take) => { followers.push(take) },
    async publish (announcement) {
      const batch = { ...announcement, epoch, first: next }
      next += announcement.entries.length
      for (const take of followers) take(batch)
    }
  }
}
