import type { Test } from 'tap'
import { type Event } from '../support/kubiya-clients.ts'
import { item, startService, type Service } from '../support/support.ts'

export const ITEMS = '/api/v1/auditing/items'
export const START_MS = Date.parse('2025-06-03T00:00:00Z')

export function dated (n: number, fields: Event = {}): Event {
  return item({ n, timestamp: new Date(START_MS + n * 1000).toISOString(), ...fields })
}

export function series (count: number, fields: (n: number) => Event = () => ({})): Event[] {
  return Array.from({ length: count }, (_, n) => dated(n, fields(n)))
}

export function downTo (from: number, to: number): number[] {
  return Array.from({ length: from - to + 1 }, (_, n) => from - n)
}

export function numbers (events: Event[]): number[] {
  return events.map(({ n }) => n as number)
}

export function lists ({ sandbox }: Service): number {
  return sandbox.requests.filter(({ path }) => path.endsWith('/items')).length
}

export async function started (t: Test, events: Event[], settings: Record<string, string> = {}): Promise<Service> {
  const service = await startService(t, settings)
  service.sandbox.publish(events)
  await service.settled()
  return service
}
