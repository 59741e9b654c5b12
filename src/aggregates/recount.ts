import type { Instant } from '../audit/instant.ts'
import type { Batch } from '../audit/log-batch.ts'
import type { Requester } from '../audit/requester.ts'
import type { Clock } from '../clock.ts'
import type { LiveTable } from './live-table.ts'

export interface RecountOptions {
  readonly clock: Pick<Clock, 'monotonicMs' | 'setTimer'>
  /** The longest time that one recount takes, milliseconds. */
  readonly maxMs: number
  readonly createTable: () => LiveTable
  /** Takes the new table once it has read all that was asked. */
  readonly onRead: (table: LiveTable) => void
  readonly onError: (error: unknown) => void
}

/** Reads the rows of a table from Kubiya again, into a new table. If that fails, the old table stays in use. */
export interface Recount {
  /** Reads back to an instant. Resolves after `waitMs` at the latest; the reading then continues. */
  start (goal: Instant, requester: Requester, waitMs: number): Promise<void>
  /** Adds what has entered the log. */
  append (batch: Batch): void
  /** Ends the reading. What was read is dropped. */
  end (): void
  bytes (): number
}

const STEP_MS = 30_000 // The reading ends a minute after the last request for it.

export function createRecount ({ clock, createTable, maxMs, onError, onRead }: RecountOptions): Recount {
  let next: LiveTable | undefined
  return { start, append: (batch) => next?.append(batch), end, bytes: () => next?.usage().bytes ?? 0 }

  function end (): void {
    next?.close()
    next = undefined
  }

  async function start (goal: Instant, requester: Requester, waitMs: number): Promise<void> {
    end()
    const table = createTable()
    next = table
    await new Promise<void>((resolve) => {
      const cancel = clock.setTimer(resolve, waitMs)
      read(table, goal, requester).finally(() => {
        cancel()
        resolve()
      }).catch(onError)
    })
  }

  async function read (table: LiveTable, goal: Instant, requester: Requester): Promise<void> {
    const endMs = clock.monotonicMs() + maxMs
    while (table === next && clock.monotonicMs() < endMs) {
      table.touch()
      const { coveredFrom, stop } = await table.fill(goal, requester, STEP_MS)
      if (table !== next) return
      if (stop === 'row-limit' || (coveredFrom !== undefined && coveredFrom <= goal)) {
        next = undefined
        return onRead(table)
      }
      if (stop !== undefined && stop !== 'unasked') break
    }
    if (table === next) end()
  }
}
