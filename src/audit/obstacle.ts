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
const PROOFS_BEFORE_PASSING = 3

/**
 * Finds the one row that cannot be read (over the byte cap, a poison element) without taking an outage for one. A question
 * that failed twice is left alone until another, harmless one is answered: so an outage costs one request a try. Fails the
 * first one then again, a smaller page is asked for, which closes in on the row; and a row that fails alone, time and again
 * while the harmless question is answered in between, is given up. One that is too large needs no proof: asking again makes
 * it no smaller. An upstream that fails at random is seldom caught failing so, and soon asked for large pages again.
 */
export function createObstacle () {
  let strikes = 0 // Of this question, in a row.
  let proofs = 0
  let isProbing = false
  let isProbed = false
  let isSuspected = false
  let isKnown = false
  let isPassed = false
  let sizeBefore: number | undefined
  let readSince = 0

  return {
    /** Whether the harmless question is to be asked. */
    isProbing: () => isProbing,
    /** It is known that there is one ahead: less proof will do. */
    suspect () {
      isKnown = true
      isSuspected = true
    },
    failed,
    /** The harmless question was answered. */
    probed () {
      isProbing = false
      isProbed = true
    },
    /** The question itself was answered, with so many rows that were new. */
    succeeded (fresh: number) {
      strikes = 0
      proofs = 0
      isProbed = false
      readSince += fresh
    },
    leave
  }

  function failed (kind: FailureKind, size: number): Detour {
    const again = { size, waits: true, isPast: false }
    if (!OF_ANSWERS.has(kind)) return again
    if (isProbing) {
      isProbing = kind !== 'too-large' // That is an answer, too.
      isProbed = !isProbing
      return { ...again, waits: isProbing }
    }
    if (kind === 'too-large') return size > 1 ? shrunk(size) : given(size)
    strikes++
    const isFirst = strikes === 1 && !isSuspected
    if (isFirst || !isProbed) {
      isProbing = !isFirst
      return { ...again, waits: !isSuspected }
    }
    isProbed = false
    if (size > 1) return shrunk(size)
    if (++proofs >= (isKnown ? 1 : PROOFS_BEFORE_PASSING)) return given(size)
    isProbing = true
    return { ...again, waits: false }
  }

  function shrunk (size: number): Detour {
    sizeBefore ??= size
    isSuspected = true
    readSince = 0
    return { size: Math.max(1, Math.floor(size * SHRINKS_TO)), waits: false, isPast: false }
  }

  function given (size: number): Detour {
    sizeBefore ??= size
    isPassed = true
    return { size, waits: false, isPast: true }
  }

  /** The page size from before, once the obstacle is behind; from then on there is none. */
  function leave (): number | undefined {
    if (sizeBefore === undefined || !(isPassed || readSince >= sizeBefore)) return undefined
    const size = sizeBefore
    strikes = 0
    proofs = 0
    isProbed = false
    isSuspected = false
    isKnown = false
    isPassed = false
    sizeBefore = undefined
    return size
  }
}
