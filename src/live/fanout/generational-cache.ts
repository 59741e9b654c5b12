/** Two layers of what is kept: when the younger one has taken half of the bytes, the older one is forgotten whole. */
export interface GenerationalCache<Generation> {
  /** Tells the younger one to take so many bytes. */
  grow (bytes: number): Generation
  /** What `look` finds, in the younger one if it is there. */
  find<Found> (look: (layer: Generation) => Found | undefined): Found | undefined
}

/**
 * A bounded cache of `WeakMap`s: what is kept for an object goes with it, and does not keep it alive. Bytes are counted
 * as they come; a single piece may be larger than its layer.
 */
export function createGenerationalCache<Layer> (mostBytes: number, empty: () => Layer): GenerationalCache<Layer> {
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
