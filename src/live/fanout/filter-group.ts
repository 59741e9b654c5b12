import { compileFilter, filterKey, type AuditFilter } from '../../audit/filter.ts'
import type { FilterMembers, BatchAt } from './filtered-log.ts'
import type { Subscription } from './subscription.ts'

/** All subscribers with the same canonical filter. */
export interface FilterGroup extends FilterMembers {
  readonly key: string
  readonly filter: AuditFilter
  /** The log as they see it. */
  readonly batchAt: BatchAt
  readonly members: Set<Subscription>
}

export function createFilterGroup (
  filter: AuditFilter,
  filteredLogOf: (members: FilterMembers) => BatchAt
): FilterGroup {
  const members = { matches: compileFilter(filter), members: new Set<Subscription>() }
  return { ...members, key: filterKey(filter), filter, batchAt: filteredLogOf(members) }
}
