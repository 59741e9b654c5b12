/** The first elements in an order. */
export interface Ranking<Element> {
  offer (element: Element): void
  /** The last element once there are `most`: no later one enters. `undefined`: there is room. */
  last (): Element | undefined
  /** The elements in order. */
  list (): readonly Element[]
}

/** Keeps the first `most` of the elements that are offered. To sort a hundred thousand would block the process. */
export function createRanking<Element> (
  most: number,
  isBefore: (a: Element, b: Element) => boolean
): Ranking<Element> {
  const best: Element[] = []
  return { offer, last: () => best.length === most ? best.at(-1) : undefined, list: () => best }

  function offer (element: Element): void {
    const last = best.at(-1)
    if (best.length === most && (last === undefined || !isBefore(element, last))) return
    let [low, high] = [0, best.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = best[middle]
      if (other !== undefined && isBefore(element, other)) high = middle
      else low = middle + 1
    }
    best.splice(low, 0, element)
    if (best.length > most) best.pop()
  }
}
