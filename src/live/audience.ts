import { compileFilter, filterKey, type AuditFilter } from '../audit/filter.ts'
import type { Listeners, PortionAt } from './portions.ts'
import type { Subscription } from './subscription.ts'

/** All listeners with the same canonical filter. */
export interface Audience extends Listeners {
  readonly key: string
  readonly filter: AuditFilter
  /** The log as they see it. */
  readonly portionAt: PortionAt
  readonly members: Set<Subscription>
}

export function createAudience (filter: AuditFilter, portionsOf: (listeners: Listeners) => PortionAt): Audience {
  const listeners = { matches: compileFilter(filter), members: new Set<Subscription>() }
  return { ...listeners, key: filterKey(filter), filter, portionAt: portionsOf(listeners) }
}
