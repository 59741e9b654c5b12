import type { AuditFilter } from '../audit/filter.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import type { CountedField } from './columns.ts'
import type { TablePart } from './event-table.ts'
import { selectRows } from './selection.ts'
import { createFieldTally, fieldCounts, isCapped, type FieldCounts, type FieldTally } from './tally.ts'

export interface FacetCounts {
  readonly facets: ReadonlyArray<{ readonly field: CountedField } & FieldCounts>
  /** Whether values were not held: `distinct` is then a lower bound. */
  readonly capped?: true
}

export interface FacetOptions {
  readonly fields: readonly CountedField[]
  /** Most values that are listed of a field. */
  readonly top: number
}

/** Counts the values of fields. Each field is counted under all filters but its own. */
export async function countFacets (
  parts: readonly TablePart[],
  filter: AuditFilter,
  { fields, top }: FacetOptions
): Promise<FacetCounts> {
  const tallies = new Map<CountedField, FieldTally[]>(fields.map((field) => [field, []]))
  let isExact = true
  for (const part of parts) {
    // Fields without a filter of their own are counted in the same pass over the rows.
    for (const { own, judged } of walksFor(fields, filter)) {
      const walked = own.map((field) => [field, createFieldTally(part.snapshot, field)] as const)
      const isWalkExact = await selectRows(part, judged, (chunk, selected) => {
        for (const [, tally] of walked) tally.count(chunk, selected)
      })
      isExact &&= isWalkExact
      for (const [field, tally] of walked) tallies.get(field)?.push(tally)
    }
  }
  const facets: Array<{ readonly field: CountedField } & FieldCounts> = []
  for (const field of fields) {
    facets.push({ field, ...await fieldCounts(tallies.get(field) ?? [], top) })
    await pauseIfDue()
  }
  const capped = !isExact || [...tallies.values()].flat().some(isCapped)
  return { facets, ...capped && { capped } }
}

interface Walk {
  readonly own: readonly CountedField[]
  readonly judged: AuditFilter
}

function walksFor (fields: readonly CountedField[], filter: AuditFilter): Walk[] {
  const filtered = fields.filter((field) => filter[field] !== undefined)
  const others = fields.filter((field) => filter[field] === undefined)
  const alone = filtered.map((field) => ({ own: [field], judged: without(filter, field) }))
  return others.length === 0 ? alone : [...alone, { own: others, judged: filter }]
}

function without (filter: AuditFilter, field: CountedField): AuditFilter {
  const { [field]: own, ...others } = filter
  return own === undefined ? filter : others
}
