import { createCipheriv, createHash } from 'node:crypto'

/** Numbers that depend on the seed alone. */
export interface Random {
  /** At least 0, less than 1. */
  fraction: () => number
  /** Both ends included. */
  integer: (from: number, to: number) => number
  chance: (probability: number) => boolean
  pick: <T>(choices: readonly [T, ...T[]]) => T
  hex: (digits: number) => string
  uuid: () => string
}

const BLOCK = Buffer.alloc(4096)

/** The key stream of a cipher: evenly distributed, equal on every platform, and without end. */
export function seededRandom (seed: string): Random {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16)
  const keyStream = createCipheriv('aes-128-ctr', key, Buffer.alloc(16))
  let block = keyStream.update(BLOCK)
  let offset = 0

  return { fraction, integer, chance, pick, hex, uuid }

  function fraction (): number {
    if (offset === block.length) {
      block = keyStream.update(BLOCK)
      offset = 0
    }
    const value = block.readUInt32BE(offset) / 2 ** 32
    offset += 4
    return value
  }

  function integer (from: number, to: number): number {
    return from + Math.floor(fraction() * (to - from + 1))
  }

  function chance (probability: number): boolean {
    return fraction() < probability
  }

  function pick<T> (choices: readonly [T, ...T[]]): T {
    return choices[integer(0, choices.length - 1)] ?? choices[0]
  }

  function hex (digits: number): string {
    return Array.from({ length: digits }, () => integer(0, 15).toString(16)).join('')
  }

  function uuid (): string {
    return `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`
  }
}
