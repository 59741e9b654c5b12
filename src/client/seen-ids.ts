/**
 * Returns a function that remembers an id and returns whether it is new. There are two generations: when the younger
 * one is full, the older one is dropped. So at least `least` ids are remembered, and at most twice as many.
 */
export function createSeenIds (least: number, known: Iterable<string>): (id: string) => boolean {
  let older = new Set<string>()
  let younger = new Set(known)

  return (id) => {
    if (younger.has(id) || older.has(id)) return false
    if (younger.size >= least) {
      older = younger
      younger = new Set()
    }
    if (least > 0) younger.add(id)
    return true
  }
}
