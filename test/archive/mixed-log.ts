import { instantOf } from '../../src/sandbox/instant.ts'
import { item, type Service } from '../support/support.ts'
import { type Item } from './pages.ts'

/** All items from a path on, following `next`. */
export async function walked (service: Service, path: string, between: (page: number) => void = () => {}): Promise<Item[]> {
  const found: Item[] = []
  for (let next: string | null = path, page = 1; next !== null; page++) {
    const answer: Item = await service.json(next)
    found.push(...answer.items)
    next = answer.pagination.next
    between(page)
    if (page > 2000) throw new Error('the pages do not end')
  }
  return found
}

export function inOrder (items: Item[], direction: 'asc' | 'desc'): boolean {
  const sign = direction === 'asc' ? 1 : -1
  return items.every((each, index) => {
    const previous = items[index - 1]
    if (previous === undefined) return true
    const [a, b] = [instantOf(previous.timestamp) ?? 0n, instantOf(each.timestamp) ?? 0n]
    if (a !== b) return sign === 1 ? a < b : a > b
    return sign === 1 ? previous.id < each.id : previous.id > each.id
  })
}

/** One instant in several notations. */
export function written (ms: number, style: number): string {
  const iso = new Date(ms).toISOString()
  const bare = iso.slice(0, -1)
  const shifted = (hours: number) => new Date(ms + hours * 3_600_000).toISOString().slice(0, -1)
  switch (style % 7) {
    case 0: return iso
    case 1: return `${bare}456Z`
    case 2: return `${shifted(2)}+02:00`
    case 3: return bare
    case 4: return `${bare}000000Z`
    case 5: return `${shifted(-3)}789012-03:00`
    default: return `${iso.slice(0, 19)}Z`
  }
}

export const hour = 3_600_000

/** 1 234 items with times in mixed formats. Many times are equal; ten items exist three times. */
export function mixedLog (beforeMs: number): Item[] {
  const items = Array.from({ length: 1204 }, (_, n) => {
    const isCrowded = n >= 400 && n < 550 // One instant, longer than a page of the upstream.
    const ms = beforeMs - (isCrowded ? 400 : n - n % 3) * 1700
    return item({ n, resource_text: `entry ${n}`, timestamp: isCrowded ? written(ms, 0) : written(ms, n) })
  })
  const twins = Array.from(
    { length: 10 },
    (_, n) => item({ n: 5000 + n, resource_text: `twin ${n}`, timestamp: written(beforeMs - n * 190_000, n) })
  )
  return [...items, ...twins, ...twins, ...twins]
}

export function counted (items: Item[]): Map<number, number> {
  const counts = new Map<number, number>()
  for (const { n } of items) counts.set(n, (counts.get(n) ?? 0) + 1)
  return counts
}
