import type { FailureKind } from './source.ts'

/** How a walk goes on after a question that failed. */
export interface Detour {
  /** Rows to ask for next. */
  readonly size: number
  /** Whether to say so first, so that whoever walks can wait. */
  readonly waits: boolean
  /** Whether the row is given up. */
  readonly isPast: boolean
}

const OF_ANSWERS: ReadonlySet<FailureKind> = new Set(['invalid', 'unavailable', 'timeout', 'too-large'])
const SHRINKS_TO = 1 / 4
const STRIKES_BEFORE_SUSPICION = 2
const PROOFS_BEFORE_PASSING = 3

/**
 * Finds the one row that cannot be read (over the byte cap, a poison element) without taking an outage for one. The same
 * question is asked twice; then smaller pages close in on the row; then the row behind it is asked for in turns with the
 * row itself. Only a row that fails each time while its neighbour can be read is given up. One that is too large alone is
 * given up at once: asking again makes it no smaller.
 */
export function createObstacle () {
  let strikes = 0
  let proofs = 0
  let isProbing = false
  let isSuspected = false
  let isPassed = false
  let sizeBefore: number | undefined
  let readSince = 0

  return {
    /** Whether the row behind the one in question is to be asked for. */
    isProbing: () => isProbing,
    /** It is known that there is one ahead: nothing is asked twice. */
    suspect: () => { isSuspected = true },
    failed,
    succeeded,
    leave
  }

  function failed (kind: FailureKind, size: number): Detour {
    if (!OF_ANSWERS.has(kind)) return { size, waits: true, isPast: false }
    if (size > 1) {
      const isClear = kind === 'too-large' || isSuspected
      if (!isClear && ++strikes < STRIKES_BEFORE_SUSPICION) return { size, waits: true, isPast: false }
      isSuspected = true
      sizeBefore ??= size
      readSince = 0
      return { size: Math.max(1, Math.floor(size * SHRINKS_TO)), waits: !isClear, isPast: false }
    }
    if (kind === 'too-large' && !isProbing) {
      isPassed = true
      return { size, waits: false, isPast: true }
    }
    const isOutage = isProbing // Its neighbour cannot be read either.
    isProbing = !isProbing
    return { size, waits: isOutage, isPast: false }
  }

  /** Tells what an answer of so many rows proves: that the row is to be given up, that it is to be asked for again, or nothing. */
  function succeeded (rows: number): 'past' | 'again' | 'nothing' {
    if (!isProbing) {
      strikes = 0
      proofs = 0
      readSince += rows
      return 'nothing'
    }
    isProbing = false
    if (++proofs < PROOFS_BEFORE_PASSING) return 'again'
    isPassed = true
    return 'past'
  }

  /** The page size from before, once the obstacle is behind; from then on there is none. */
  function leave (): number | undefined {
    if (sizeBefore === undefined || !(isPassed || readSince >= sizeBefore)) return undefined
    const size = sizeBefore
    strikes = 0
    proofs = 0
    isSuspected = false
    isPassed = false
    sizeBefore = undefined
    return size
  }
}
