/**
 * Tells whether an id is new, and remembers it. Two generations: when the younger is full the older is forgotten, so
 * that at least `least` ids and at most twice as many are kept, at the same small cost for each.
 */
export function createMemory (least: number, known: Iterable<string>): (id: string) => boolean {
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
