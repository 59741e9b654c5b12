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
const STRIKES_BEFORE_PROBING = 2
const PROOFS_BEFORE_PASSING = 3

/**
 * Finds the one row that cannot be read (over the byte cap, a poison element) without taking an outage for one. A question
 * that failed twice is left alone until another, harmless one is answered: so an outage costs one request a try. Fails the
 * first one then again, smaller pages close in on the row; and a row that fails alone, time and again while the harmless
 * question is answered in between, is given up. One that is too large needs no proof: asking again makes it no smaller.
 */
export function createObstacle () {
  let strikes = 0
  let proofs = 0
  let isProbing = false
  let isProven = false
  let isKnown = false
  let isPassed = false
  let sizeBefore: number | undefined
  let readSince = 0

  return {
    /** Whether the harmless question is to be asked. */
    isProbing: () => isProbing,
    /** It is known that there is one ahead: less proof will do. */
    suspect: () => { isKnown = true },
    failed,
    /** The harmless question was answered. */
    probed: () => { isProbing = false },
    /** The question itself was answered. */
    succeeded () {
      strikes = 0
      proofs = 0
    },
    /** So many rows were new. */
    advanced (rows: number) {
      readSince += rows
    },
    leave
  }

  function failed (kind: FailureKind, size: number): Detour {
    const again: Detour = { size, waits: true, isPast: false }
    if (!OF_ANSWERS.has(kind)) return again
    if (isProbing) {
      isProbing = kind !== 'too-large' // That is an answer, too.
      return { ...again, waits: isProbing }
    }
    if (kind === 'too-large') return size > 1 ? shrunk(size) : given(size)
    strikes++
    if (size > 1 && (isProven || isKnown)) return shrunk(size)
    if (size > 1) {
      isProven = strikes > STRIKES_BEFORE_PROBING
      isProbing = strikes === STRIKES_BEFORE_PROBING
      return isProven ? shrunk(size) : again
    }
    if (++proofs > (isKnown ? 1 : PROOFS_BEFORE_PASSING)) return given(size)
    isProbing = true
    return { ...again, waits: strikes <= STRIKES_BEFORE_PROBING && !isProven && !isKnown }
  }

  function shrunk (size: number): Detour {
    sizeBefore ??= size
    readSince = 0
    return { size: Math.max(1, Math.floor(size * SHRINKS_TO)), waits: false, isPast: false }
  }

  function given (size: number): Detour {
    isPassed = true
    proofs = 0
    sizeBefore ??= size
    return { size, waits: false, isPast: true }
  }

  /** The page size from before, once the obstacle is behind; from then on there is none. */
  function leave (): number | undefined {
    if (sizeBefore === undefined || !(isPassed || readSince >= sizeBefore)) return undefined
    const size = sizeBefore
    strikes = 0
    proofs = 0
    isProven = false
    isKnown = false
    isPassed = false
    sizeBefore = undefined
    return size
  }
}
