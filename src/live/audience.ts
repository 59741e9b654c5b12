import { compileFilter, filterKey, type AuditFilter } from '../audit/filter.ts'
import type { JsonObject } from '../audit/json.ts'
import type { PortionAt } from './portions.ts'
import type { Subscription } from './subscription.ts'

/** All listeners with the same canonical filter. */
export interface Audience {
  readonly key: string
  readonly filter: AuditFilter
  readonly matches: (item: JsonObject) => boolean
  /** The log as they see it. */
  readonly portionAt: PortionAt
  readonly members: Set<Subscription>
}

export function createAudience (filter: AuditFilter, portionsOf: (matches: Audience['matches']) => PortionAt): Audience {
  const matches = compileFilter(filter)
  return { key: filterKey(filter), filter, matches, portionAt: portionsOf(matches), members: new Set() }
}
