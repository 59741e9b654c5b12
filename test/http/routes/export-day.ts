import { item, type Service } from '../../support/support.ts'

export const DATED = 'start_time=2026-01-01T00:00:00Z&end_time=2026-01-02T00:00:00Z'

/** Items of 2026-01-01, seven of them in each second. */
export function day (count: number, fields: (n: number) => object = () => ({})): object[] {
  return Array.from({ length: count }, (_, n) => item({ n, timestamp: instantOf(n), ...fields(n) }))
}

export function instantOf (n: number): string {
  const second = new Date(Date.UTC(2026, 0, 1) + Math.floor(n / 7) * 1000).toISOString().slice(0, 19)
  return `${second}.${String(n % 7).padStart(6, '0')}Z`
}

/** All events of a window as a list shows them, page by page: the JSON text of each. */
export async function listed ({ json }: Service, query: string): Promise<string[]> {
  const texts: string[] = []
  for (let path: string | null = `/api/v1/audit/events?${query}&page_size=500`; path !== null;) {
    const page: { items: object[], pagination: { next: string | null } } = await json(path)
    texts.push(...page.items.map((each) => JSON.stringify(each)))
    path = page.pagination.next
  }
  return texts
}

export function lastLog ({ logs }: Service): Record<string, unknown> {
  return logs.findLast(({ msg }) => msg === 'export ended') ?? {}
}
