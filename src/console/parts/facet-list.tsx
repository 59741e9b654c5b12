import type { Facet } from '../api.ts'
import { useApp } from '../app-context.ts'
import type { FilterName } from '../url-state.ts'
import { FIELD_NAMES, STATUS_NAMES, WORDS, number } from '../words.ts'
import { oneLine } from '../visible-text.ts'
import { Link } from './link.tsx'

const LONGEST_SHOWN = 80

/** The values of each field with their counts. Each value is a filter; the chosen one stays, also without events. */
export function FacetList () {
  const { facets } = useApp()
  const shown = facets.data.value?.facets ?? []
  return (
    <nav class='facets' aria-label={WORDS.filters} aria-busy={facets.isLoading.value}>
      {shown.map((facet) => <FacetSection key={facet.field} facet={facet} />)}
    </nav>
  )
}

function FacetSection ({ facet }: { facet: Facet }) {
  const { url } = useApp()
  const field = facet.field as FilterName
  const chosen = url.value.filter[field]
  const isListed = facet.values.some(({ value }) => value === chosen)
  const values = chosen === undefined || isListed ? facet.values : [{ value: chosen, events: 0 }, ...facet.values]
  const total = Math.max(1, values.reduce((sum, { events }) => sum + events, facet.other_events))
  return (
    <details open>
      <summary>{FIELD_NAMES[field]}</summary>
      <ul>
        {values.map(({ events, value }) => (
          <li key={value}>
            <Link
              class={value === chosen ? 'facet chosen' : 'facet'}
              to={{ filter: { ...url.value.filter, [field]: value === chosen ? undefined : value } }}
              title={`${value === chosen ? WORDS.remove : WORDS.include}: ${value}`}
              isCurrent={value === chosen}
            >
              <span class='share' style={{ inlineSize: `${events / total * 100}%` }} />
              <bdi dir='auto'>{field === 'status' ? STATUS_NAMES[value] ?? value : oneLine(value, LONGEST_SHOWN)}</bdi>
              <small>{number(events)}</small>
            </Link>
          </li>
        ))}
      </ul>
      {facet.other_events > 0 && <p class='rest'>{WORDS.other} <small>{number(facet.other_events)}</small></p>}
      {facet.missing_events > 0 && <p class='rest'>{WORDS.missing} <small>{number(facet.missing_events)}</small></p>}
    </details>
  )
}
