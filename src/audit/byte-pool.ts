/** A store whose bytes count towards a pool. */
export interface PoolMember {
  /** Evicts its oldest entries until `bytes` are free or none is left. Returns the bytes that it still holds. */
  shrink (bytes: number): number
}

export interface PoolShare {
  /** Reports how many bytes the member holds now. The pool may shrink any member before this returns, also this one. */
  hold (bytes: number): void
  /** Removes the member; its bytes no longer count. */
  leave (): void
}

/** One bound on the bytes of many stores together. */
export interface BytePool {
  join (member: PoolMember): PoolShare
  /** Bytes of all members. */
  bytes (): number
}

const LEAST_STEP_BYTES = 65_536

/** Over the bound, the largest member shrinks first: a member never loses bytes to a larger one. */
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
    if (isMakingRoom) return // A member that shrinks reports its new size, which leads here again.
    isMakingRoom = true
    try {
      while (total > maxBytes) {
        const [largest, largestBytes, nextBytes] = largestMember()
        if (largest === undefined || largestBytes === 0) return
        // Down to the size of the next member. The least step keeps many equal members from shrinking byte by byte.
        note(largest, largest.shrink(Math.min(total - maxBytes, Math.max(LEAST_STEP_BYTES, largestBytes - nextBytes))))
        if (held.get(largest) === largestBytes) return // It cannot shrink.
      }
    } finally {
      isMakingRoom = false
    }
  }

  /** The largest member, its bytes, and the bytes of the second largest. */
  function largestMember (): [member: PoolMember | undefined, bytes: number, nextBytes: number] {
    let [largest, largestBytes, nextBytes]: [PoolMember | undefined, number, number] = [undefined, 0, 0]
    for (const [member, bytes] of held) {
      if (bytes > largestBytes) [largest, largestBytes, nextBytes] = [member, bytes, largestBytes]
      else if (bytes > nextBytes) nextBytes = bytes
    }
    return [largest, largestBytes, nextBytes]
  }
}
