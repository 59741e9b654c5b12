import { createHash } from 'node:crypto'

/**
 * The 64 bits that stand for an event's id, as two unsigned halves. Two ids of 500 000 share a key with a probability
 * of 7·10⁻⁹. Keys of computed ids are in the order of the ids.
 */
export interface IdKey {
  readonly high: number
  readonly low: number
}

export interface IdSet {
  /** Adds a key. `false`: it is in the set. */
  add (key: IdKey): boolean
  /** Removes a key. Nothing happens if it is not in the set. */
  remove (key: IdKey): void
  clear (): void
  readonly size: number
  /** Memory of the slots. */
  bytes (): number
}

const COMPUTED_PREFIX = 'kab1.'
const DIGEST_CHARACTERS = 22
// The digits of base64url in the order of their code units, so that keys have the order of the texts.
const DIGITS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'
const NO_DIGIT = 255
const RANK = Uint8Array.from({ length: 128 }, (_, code) => {
  const rank = DIGITS.indexOf(String.fromCharCode(code))
  return rank < 0 ? NO_DIGIT : rank
})
/** The ends of the ids of exact duplicates that have keys in their order. */
const ENDS = ['', '.10', '.11', '.12', '.13', '.14', '.15', '.2', '.3', '.4', '.5', '.6', '.7', '.8', '.9']

/**
 * The key of an id. For a computed id (audit/event-id.ts): the first ten characters of its digest, then four bits for
 * the number of the exact duplicate, up to 15. For any other id: 64 bits of its SHA-256.
 */
export function idKeyOf (id: string): IdKey {
  const dot = id.startsWith(COMPUTED_PREFIX) ? id.indexOf('.', COMPUTED_PREFIX.length) : -1
  const end = dot + 1 + DIGEST_CHARACTERS
  const duplicate = dot < 0 ? -1 : id.length === end ? 0 : ENDS.indexOf(id.slice(end), 1)
  return (duplicate < 0 ? undefined : digestKey(id, dot + 1, duplicate)) ?? hashKey(id)
}

function digestKey (id: string, start: number, duplicate: number): IdKey | undefined {
  const first = thirtyBits(id, start)
  const second = thirtyBits(id, start + 5)
  if (first < 0 || second < 0) return undefined
  return { high: (first << 2 | second >>> 28) >>> 0, low: (second << 4 | duplicate) >>> 0 }
}

/** Five digits as a number. Negative: one of them is no digit of base64url. */
function thirtyBits (id: string, start: number): number {
  let bits = 0
  for (let at = start; at < start + 5; at++) {
    const rank = RANK[id.charCodeAt(at)] ?? NO_DIGIT
    if (rank === NO_DIGIT) return -1
    bits = bits << 6 | rank
  }
  return bits
}

function hashKey (id: string): IdKey {
  const digest = createHash('sha256').update(id).digest()
  return { high: digest.readUInt32BE(0), low: digest.readUInt32BE(4) }
}

const SHARD_BITS = 6
const FEWEST_SLOTS = 16
const FULLEST = 13 / 16
const [MIX, LAST_MIX] = [0x85ebca6b, 0xc2b2ae35]

/**
 * A set of id keys in typed arrays, with open addressing and linear probing. It takes 8 bytes a slot. Slots are chosen
 * with secret factors: who can choose ids cannot choose slots, so no ids make the set slow. The set consists of 64
 * shards, which grow one at a time: to move all keys at once would block the process.
 */
export function createIdSet (): IdSet {
  const [highFactor = 1, lowFactor = 1] = crypto.getRandomValues(new Uint32Array(2)).map((factor) => factor | 1)
  const hashOf = (high: number, low: number) => spread({ high, low }, highFactor, lowFactor)
  let shards = emptyShards()
  return {
    add (key) {
      const low = lowOf(key)
      const hash = hashOf(key.high, low)
      return shardOf(hash)?.add(hash, key.high, low) ?? false
    },
    remove (key) {
      const low = lowOf(key)
      const hash = hashOf(key.high, low)
      shardOf(hash)?.remove(hash, key.high, low)
    },
    clear () {
      shards = emptyShards()
    },
    get size () {
      return shards.reduce((sum, shard) => sum + shard.size(), 0)
    },
    bytes: () => shards.reduce((sum, shard) => sum + shard.bytes(), 0)
  }

  function emptyShards (): Shard[] {
    return Array.from({ length: 2 ** SHARD_BITS }, () => createShard(hashOf))
  }

  function shardOf (hash: number): Shard | undefined {
    return shards[hash >>> (32 - SHARD_BITS)]
  }
}

/** The keys whose hashes have the same first bits. The other bits choose the slot. */
interface Shard {
  add (hash: number, high: number, low: number): boolean
  remove (hash: number, high: number, low: number): void
  size (): number
  bytes (): number
}

function createShard (hashOf: (high: number, low: number) => number): Shard {
  let slots = new Uint32Array(2 * FEWEST_SLOTS)
  let mask = FEWEST_SLOTS - 1
  let size = 0
  return { add, remove, size: () => size, bytes: () => slots.byteLength }

  function add (hash: number, high: number, low: number): boolean {
    const slot = slotOf(hash, high, low)
    if (isFilled(slot)) return false
    put(slot, high, low)
    size++
    if (size > FULLEST * (mask + 1)) resize(2 * (mask + 1))
    return true
  }

  /** Moves the keys that follow, so that no search ends at the free slot before it finds its key. */
  function remove (hash: number, high: number, low: number): void {
    let free = slotOf(hash, high, low)
    if (!isFilled(free)) return
    size--
    for (let slot = free + 1 & mask; isFilled(slot); slot = slot + 1 & mask) {
      const [nextHigh, nextLow] = [slots[2 * slot] ?? 0, slots[2 * slot + 1] ?? 0]
      const distance = slot - hashOf(nextHigh, nextLow) & mask
      if (distance < (slot - free & mask)) continue
      put(free, nextHigh, nextLow)
      free = slot
    }
    put(free, 0, 0)
  }

  function resize (count: number): void {
    const before = slots
    slots = new Uint32Array(2 * count)
    mask = count - 1
    for (let at = 0; at < before.length; at += 2) {
      const high = before[at] ?? 0
      const low = before[at + 1] ?? 0
      if (high !== 0 || low !== 0) put(slotOf(hashOf(high, low), high, low), high, low)
    }
  }

  /** The slot that holds a key, or the free slot where it belongs. */
  function slotOf (hash: number, high: number, low: number): number {
    let slot = hash & mask
    while (isFilled(slot) && (slots[2 * slot] !== high || slots[2 * slot + 1] !== low)) slot = slot + 1 & mask
    return slot
  }

  function isFilled (slot: number): boolean {
    return slots[2 * slot] !== 0 || slots[2 * slot + 1] !== 0
  }

  function put (slot: number, high: number, low: number): void {
    slots[2 * slot] = high
    slots[2 * slot + 1] = low
  }
}

/** Spreads keys over 32 bits: each half times its factor, then the last steps of MurmurHash3. */
export function spread ({ high, low }: IdKey, highFactor: number, lowFactor: number): number {
  const mixed = Math.imul(high, highFactor) ^ Math.imul(low ^ low >>> 15, lowFactor)
  const once = Math.imul(mixed ^ mixed >>> 16, MIX)
  const twice = Math.imul(once ^ once >>> 13, LAST_MIX)
  return twice ^ twice >>> 16
}

/** A slot of two zeros is free, so no key may be two zeros. */
function lowOf ({ high, low }: IdKey): number {
  return high === 0 && low === 0 ? 1 : low
}
