/** A cache in two generations. When the younger one holds half of the bytes, the older one is dropped. */
export interface GenerationalCache<Generation> {
  /** Counts `bytes` and returns the younger generation, for the caller to add the value to. */
  grow (bytes: number): Generation
  /** Searches the younger generation, then the older one. */
  find<Found> (look: (generation: Generation) => Found | undefined): Found | undefined
}

/**
 * A bounded cache whose generations are `WeakMap`s: a cached value does not keep its key alive. Bytes are counted when
 * they are added. A single value may be larger than a generation.
 */
export function createGenerationalCache<Generation> (
  mostBytes: number,
  empty: () => Generation
): GenerationalCache<Generation> {
  let young = empty()
  let old = empty()
  let youngBytes = 0

  return {
    grow (bytes) {
      if (youngBytes + bytes > mostBytes / 2) {
        old = young
        young = empty()
        youngBytes = 0
      }
      youngBytes += bytes
      return young
    },
    find: (look) => look(young) ?? look(old)
  }
}
