import type { Instant } from '../../audit/instant.ts'

export interface OffsetIndexOptions {
  /** For how long, by the log's newest instant, an event is remembered at least. */
  readonly span: Instant
  /** Most events that are remembered. */
  readonly most: number
}

/** Remembers which place in the log an event had, also for a while after the log has let go of it. */
export interface OffsetIndex {
  add (id: string, offset: number, highWater: Instant): void
  /** `undefined`: it never entered, or too long ago. */
  offsetOf (id: string): number | undefined
}

/** Two generations: when the younger one is old or large enough, the older one is forgotten whole. */
export function createOffsetIndex ({ most, span }: OffsetIndexOptions): OffsetIndex {
  let young = new Map<string, number>()
  let old = new Map<string, number>()
  let youngSince: Instant | undefined

  return {
    add (id, offset, highWater) {
      youngSince ??= highWater
      if (highWater - youngSince > span || young.size >= most / 2) {
        old = young
        young = new Map()
        youngSince = highWater
      }
      young.set(id, offset)
    },
    offsetOf: (id) => young.get(id) ?? old.get(id)
  }
}
