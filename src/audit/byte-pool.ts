/** Something that holds bytes of a pool. */
export interface PoolMember {
  /** Lets go of its oldest until so many bytes are free, or nothing is left, and tells what it holds then. */
  shrink (bytes: number): number
}

export interface PoolShare {
  /** Says how many bytes the member holds now. The pool may ask any member, this one too, to shrink. */
  hold (bytes: number): void
  /** The member holds nothing any more. */
  leave (): void
}

/** Bytes that many hold together, within one bound. */
export interface BytePool {
  join (member: PoolMember): PoolShare
  /** What all members hold. */
  bytes (): number
}

const LEAST_STEP_BYTES = 65_536

/** When there is too much in all, the member that holds most shrinks first: nobody loses to one who holds more. */
export function createBytePool (maxBytes: number): BytePool {
  const held = new Map<PoolMember, number>()
  let total = 0
  let isMakingRoom = false
  return { join, bytes: () => total }

  function join (member: PoolMember): PoolShare {
    held.set(member, 0)
    return {
      hold (bytes) {
        note(member, bytes)
        makeRoom()
      },
      leave () {
        note(member, 0)
        held.delete(member)
      }
    }
  }

  function note (member: PoolMember, bytes: number): void {
    const before = held.get(member)
    if (before === undefined) return // It has left.
    held.set(member, bytes)
    total += bytes - before
  }

  function makeRoom (): void {
    if (isMakingRoom) return // A member that shrinks says so.
    isMakingRoom = true
    try {
      while (total > maxBytes) {
        const [most, ofMost, ofNext] = biggest()
        if (most === undefined || ofMost === 0) return
        // Down to the next in size, but in steps that are worth while.
        note(most, most.shrink(Math.min(total - maxBytes, Math.max(LEAST_STEP_BYTES, ofMost - ofNext))))
        if (held.get(most) === ofMost) return // It holds on to what it has.
      }
    } finally {
      isMakingRoom = false
    }
  }

  function biggest (): [member: PoolMember | undefined, bytes: number, next: number] {
    let [most, ofMost, ofNext]: [PoolMember | undefined, number, number] = [undefined, 0, 0]
    for (const [member, bytes] of held) {
      if (bytes > ofMost) [most, ofMost, ofNext] = [member, bytes, ofMost]
      else if (bytes > ofNext) ofNext = bytes
    }
    return [most, ofMost, ofNext]
  }
}
