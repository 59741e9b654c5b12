import type { FailureKind } from '../audit/source.ts'

/** What becomes of a question that failed. */
export interface NextMove {
  /** Whether to say so first, so that whoever scans can wait. */
  readonly waits: boolean
  /** Whether the row is given up. */
  readonly isPast: boolean
}

export interface BisectionOptions {
  /** Most rows to ask for. */
  readonly wanted: number
  /** Rows to ask for at first. */
  readonly first: number
}

const OF_ANSWERS: ReadonlySet<FailureKind> = new Set(['invalid', 'unavailable', 'timeout', 'too-large'])
const PROOFS_BEFORE_PASSING = 3
const AGAIN: NextMove = { waits: true, isPast: false }
const AT_ONCE: NextMove = { waits: false, isPast: false }
const PAST: NextMove = { waits: false, isPast: true }

/**
 * Decides how many rows to ask for, and finds the one row that cannot be read (over the byte cap, a poison element)
 * without taking an outage for one. A question that failed twice is left alone until another, harmless one is answered:
 * so an outage costs one request a try. Fails the first one then again, pages of half as many rows are asked for, which
 * closes in on the row; and a row that fails alone, time and again while the harmless question is answered in between,
 * is given up. One that is too large needs no proof: asking again makes it no smaller. With every answer pages grow
 * again.
 */
export function createBisection ({ first, wanted: asked }: BisectionOptions) {
  let wanted = asked
  let size = Math.min(first, asked)
  let left = 0 // Rows ahead among which it is suspected.
  let strikes = 0 // Of this question, in a row.
  let proofs = 0
  let isKnown = false
  let isProbing = false
  let isProbed = false

  return {
    /** Rows to ask for. */
    size: () => size,
    /** Whether that is less than wanted. */
    isReduced: () => size < wanted,
    /** Whether the harmless question is to be asked. */
    isProbing: () => isProbing,
    /** It is known that there is one ahead: less proof will do. */
    suspect: () => { isKnown = true },
    /** The upstream gives no more than so many rows. */
    cap (rows: number) {
      wanted = Math.min(wanted, rows)
      size = Math.min(size, wanted)
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
      goOn(fresh)
    }
  }

  /** After a question for so many rows. */
  function failed (kind: FailureKind, rows: number): NextMove {
    if (!OF_ANSWERS.has(kind)) return AGAIN
    if (isProbing) {
      isProbing = kind !== 'too-large' // That is an answer, too.
      isProbed = !isProbing
      return isProbing ? AGAIN : AT_ONCE
    }
    if (kind === 'too-large') return rows > 1 ? shrink(rows) : pass()
    strikes++
    const isSuspected = isKnown || left > 0
    if (strikes === 1 && !isSuspected) return AGAIN
    if (isProbed) {
      isProbed = false
      if (rows > 1) return shrink(rows)
      if (++proofs >= (isKnown ? 1 : PROOFS_BEFORE_PASSING)) return pass()
    }
    isProbing = true
    return isSuspected ? AT_ONCE : AGAIN
  }

  function shrink (rows: number): NextMove {
    strikes = 0
    left = rows
    size = Math.floor(rows / 2)
    return AT_ONCE
  }

  function pass (): NextMove {
    strikes = 0
    proofs = 0
    isKnown = false
    goOn(1)
    return PAST
  }

  function goOn (rows: number): void {
    left = Math.max(0, left - rows)
    // Never smaller than what was just answered: pages overlap, and one of few rows would crawl through rows that are
    // known.
    if (left === 0) size = Math.min(2 * size, wanted)
  }
}
