import type { NewEntry } from '../../audit/log-batch.ts'
import type { LogCursor } from '../../audit/cursor.ts'
import type { Instant } from '../../audit/instant.ts'
import type { SortKey } from '../../audit/sort-key.ts'

/** Something of the past, in the order of instants. */
export type ReplayRow = NewEntry & {
  readonly place: SortKey
  /** Where it stands in the log, if it comes from there. */
  readonly offset?: number
}

/**
 * How far a replay is.
 * - `reading`: more rows may come.
 * - `done`: these are all.
 * - `cut`: there is more than its limits allow.
 * - `full`: it holds as many bytes as it may. Another replay reads on behind it.
 * - `failed`: Kubiya could not be read.
 * - `forgotten`: its rows were dropped to free memory. A subscriber that has not had them all begins another replay.
 */
export type ReplayState = 'reading' | 'done' | 'cut' | 'full' | 'failed' | 'forgotten'

/** What is at hand of the past. */
export interface KeptRows {
  /** From this instant on they are all. */
  readonly since: Instant
  readonly rows: readonly ReplayRow[]
}

/** The past, from the log or from Kubiya, on its way to any number of streams. */
export interface Replay {
  /** Where the log goes on: everything that the replay could miss comes behind it. */
  readonly place: LogCursor
  /** The newest instant in front of that place, or of one before it. */
  newest (): Instant
  /** The rows so far, oldest first. They grow at the end. */
  rows (): readonly ReplayRow[]
  /** Another one whenever rows have moved; look at `rows` first. */
  version (): number
  state (): ReplayState
  /** From where on events may be missing, once it was cut or has failed. */
  reached (): Instant
  /** Calls back when there is more, or an end; gives the function to leave. */
  follow (listener: () => void): () => void
}
