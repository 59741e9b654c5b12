import { createHash } from 'node:crypto'
import { Type, type TSchema } from '@sinclair/typebox'
import type { Coverage } from '../aggregates/coverage.ts'
import { COUNTED_FIELDS } from '../aggregates/columns.ts'
import type { Coverage as PublishedCoverage, PublishedSession } from '../audit/session.ts'
import { formatInstant } from '../audit/instant.ts'
import type { TimeRange } from '../audit/time-range.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import { Window, type RenderedBody } from './page-body.ts'

const count = (description: string) => Type.Integer({ minimum: 0, description })
const time = (description: string) => Type.Union([Type.String(), Type.Null()], { description })

const CoverageRef = Type.Unsafe<PublishedCoverage>({ $ref: 'Coverage#' })

const tally = {
  events: count('Number of events.'),
  success: count('Events whose `action_successful` is true.'),
  failed: count('Events whose `action_successful` is false.'),
  unknown: count('Events whose `action_successful` is missing, null or no boolean.')
}

const valueCounts = {
  values: Type.Array(Type.Object({ value: Type.String(), ...tally }), {
    description: 'The most frequent values: by number of events, then by value.'
  }),
  distinct: count('Number of different values.'),
  other_events: count('Events with a value that is not listed.'),
  missing_events: count('Events without a value, or with an empty one.')
}

const capped = Type.Optional(Type.Literal(true, {
  description: 'Set if values were too many or too long to be told apart. Numbers of values are then lower bounds.'
}))

const ValueCounts = Type.Object(valueCounts)

const spread = (description: string, parts: { readonly [name: string]: TSchema }) => Type.Object(parts, { description })
const figure = (description: string) => Type.Union([Type.Number(), Type.Null()], { description })

export const Summary = Type.Object({
  window: Window,
  coverage: CoverageRef,
  totals: Type.Object({
    ...tally,
    success_rate: figure('`success` ÷ (`success` + `failed`), from 0 to 1; null: neither is known.'),
    users: count('Number of different `email`s.'),
    sessions: count('Number of different sessions.'),
    undated: count('Events without a readable timestamp. They are counted here, and in no bucket.')
  }),
  by: Type.Object(Object.fromEntries(COUNTED_FIELDS.map((field) => [field, ValueCounts])), {
    description: 'Counts for each value of a field.'
  }),
  sessions: Type.Object({
    count: count('Number of sessions.'),
    events_without_session: count('Events that belong to no session.'),
    events_per_session: spread('Events of one session.', {
      mean: figure('Mean.'),
      median: figure('Median.'),
      p95: figure('95th percentile: nearest rank.'),
      max: figure('Maximum.')
    }),
    duration_seconds: spread('Seconds from the first event of a session to its last one.', {
      median: figure('Median.'),
      p95: figure('95th percentile: nearest rank.'),
      max: figure('Maximum.')
    })
  }),
  first_event: time('Instant of the oldest event that was counted.'),
  last_event: time('Instant of the newest event that was counted.'),
  capped
}, { $id: 'Summary', description: 'Counts of the events of a window.' })

export const Timeline = Type.Object({
  window: Window,
  coverage: CoverageRef,
  interval_seconds: Type.Integer({ minimum: 1, description: 'Width of each bucket.' }),
  by: Type.String({ description: 'The field whose values are the series, or `none`.' }),
  series: Type.Array(Type.Object({
    value: Type.String({ description: 'The value; empty for all values that have no series of their own.' }),
    events: count('Events of the series.')
  })),
  buckets: Type.Array(Type.Object({
    start_time: Type.String({ description: 'Start of the bucket, included.' }),
    end_time: Type.String({ description: 'End of the bucket, excluded.' }),
    events: count('Events in the bucket.'),
    counts: Type.Array(Type.Integer({ minimum: 0 }), {
      description: 'Events of each series, in the order of `series`.'
    }),
    partial: Type.Optional(Type.Boolean({ description: 'True if the bucket reaches beyond the window.' }))
  }), { description: 'All buckets of the window, empty ones included.' }),
  capped
}, { $id: 'Timeline', description: 'Counts of events over time.' })

export const Facets = Type.Object({
  window: Window,
  coverage: CoverageRef,
  facets: Type.Array(Type.Object({
    field: Type.String({ description: 'Name of the field, as in the filter.' }),
    ...valueCounts
  }), { description: 'Counts for each value of a field, under all filters but that of the field itself.' }),
  capped
}, { $id: 'Facets', description: 'The values of fields, with counts.' })

export const SessionPage = Type.Object({
  items: Type.Array(Type.Unsafe<PublishedSession>({ $ref: 'Session#' })),
  pagination: Type.Object({
    page_size: count('Largest number of sessions on a page.'),
    has_more: Type.Boolean({ description: 'Whether there is another page.' }),
    total: count('Number of sessions on all pages.'),
    next: Type.Union([Type.String(), Type.Null()], {
      description: 'URL of the next page. Following it gives each session that was there at the first page, once.'
    })
  }),
  unassigned_events: count('Matching events that belong to no session.'),
  capped,
  window: Window,
  coverage: CoverageRef
}, { $id: 'SessionPage', description: 'Sessions with their figures.' })

/**
 * Renders an answer, in slices of time: a page of sessions may have megabytes. Instants become RFC 3339. The validator
 * covers the counts, not when they were made. `onHeld` receives the bytes so far.
 */
export async function renderCounts (
  counts: object,
  window: TimeRange,
  coverage: Coverage,
  onHeld: (bytes: number) => void
): Promise<RenderedBody> {
  const { asOf, complete, end, retryAfterMs, scanned, skipped, start } = coverage
  const head = JSON.stringify({
    window: { start_time: window.start ?? null, end_time: window.end ?? null },
    coverage: {
      complete,
      scanned,
      start_time: start ?? null,
      end_time: end,
      as_of: asOf,
      ...retryAfterMs !== undefined && { retry_after: Math.max(1, Math.ceil(retryAfterMs / 1000)) },
      ...skipped.length > 0 && { skipped }
    }
  }, writeInstant)
  const hash = createHash('sha256').update(complete ? 'complete' : String(start))
  const pieces = [Buffer.from(head.slice(0, -1))]
  let bytes = 0
  for (const text of textsOf(counts)) {
    const piece = Buffer.from(text)
    hash.update(piece)
    pieces.push(piece)
    onHeld(bytes += piece.length)
    await pauseIfDue()
  }
  return { body: Buffer.concat(pieces), etag: `W/"${hash.digest('base64url').slice(0, 22)}"` }
}

/** The members of an object as JSON, each behind a comma, and the end of the object. Elements of lists are apart. */
function * textsOf (counts: object): Generator<string, void, void> {
  for (const [name, value] of Object.entries(counts) as Array<[string, unknown]>) {
    if (!Array.isArray(value)) yield `,${JSON.stringify(name)}:${JSON.stringify(value, writeInstant)}`
    else {
      yield `,${JSON.stringify(name)}:[`
      for (const [at, element] of value.entries()) yield `${at === 0 ? '' : ','}${JSON.stringify(element, writeInstant)}`
      yield ']'
    }
  }
  yield '}'
}

function writeInstant (_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? formatInstant(value) : value
}
