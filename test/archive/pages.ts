export type Item = Record<string, any>

export const EVENTS = '/api/v1/audit/events'
export const SEARCH = '/api/v1/audit/events/search'

export function texts (page: Item): string[] {
  return page.items.map((each: Item) => each.resource_text)
}
