import { STATUS_BITS, type Chunk, type Codes } from './chunk.ts'
import { FAILED, STATUSES, SUCCESS, UNKNOWN, columnOf, type CountedField } from './columns.ts'
import { FIRST_CODE, MISSING, OTHER, createDictionary, type Dictionary } from './dictionary.ts'
import type { TableSnapshot } from './event-table.ts'
import { eachValue, textOfCodes, type ValueCodes } from './joined-values.ts'
import { createRanking } from './ranking.ts'
import type { SelectedRows } from './selection.ts'

/** Numbers of events. `events` is the sum of the others. */
export interface Tally {
  readonly events: number
  readonly success: number
  readonly failed: number
  readonly unknown: number
}

export interface ValueTally extends Tally {
  readonly value: string
}

/** The counts of one field. All events of `values`, `other_events` and `missing_events` together are all events. */
export interface FieldCounts {
  /** The values with the most events, then by value in code units. */
  readonly values: readonly ValueTally[]
  /** How many different values there are. With `capped` there may be more. */
  readonly distinct: number
  /** Events of further values. */
  readonly other_events: number
  /** Events whose value is missing or empty. */
  readonly missing_events: number
}

/** Counts of the values of one field in one table. */
export interface FieldTally {
  readonly dictionary: Dictionary
  /** For each code the events with each status. */
  readonly counts: Uint32Array
  count (chunk: Chunk, selected: SelectedRows): void
}

const WIDTH = STATUSES.length
export const NO_EVENTS: Tally = { events: 0, success: 0, failed: 0, unknown: 0 }
const STATUS_TEXTS = statusTexts()

/** The texts of a field. A status has the code `FIRST_CODE` plus its index. */
export function dictionaryOf ({ dictionaries }: TableSnapshot, field: CountedField): Dictionary {
  const column = columnOf(field)
  return column === undefined ? STATUS_TEXTS : dictionaries[column]
}

export function createFieldTally (snapshot: TableSnapshot, field: CountedField): FieldTally {
  const column = columnOf(field)
  const dictionary = dictionaryOf(snapshot, field)
  const counts = new Uint32Array(WIDTH * dictionary.size)
  return {
    dictionary,
    counts,
    count (chunk, selected) {
      if (column === undefined) countStatuses(counts, chunk, selected)
      else countCodes(counts, chunk.codes[column], chunk, selected)
    }
  }
}

function countCodes (counts: Uint32Array, codes: Codes, { flags }: Chunk, { count, indices }: SelectedRows): void {
  for (let at = 0; at < count; at++) {
    const row = indices[at] ?? 0
    const place = WIDTH * (codes[row] ?? 0) + ((flags[row] ?? 0) & STATUS_BITS)
    counts[place] = (counts[place] ?? 0) + 1
  }
}

function countStatuses (counts: Uint32Array, { flags }: Chunk, { count, indices }: SelectedRows): void {
  for (let at = 0; at < count; at++) {
    const status = (flags[indices[at] ?? 0] ?? 0) & STATUS_BITS
    const place = WIDTH * (FIRST_CODE + status) + status
    counts[place] = (counts[place] ?? 0) + 1
  }
}

export function tallyAt (counts: Uint32Array, code: number): Tally {
  const countOf = (status: number) => counts[WIDTH * code + status] ?? 0
  const [success, failed, unknown] = [countOf(SUCCESS), countOf(FAILED), countOf(UNKNOWN)]
  return { events: success + failed + unknown, success, failed, unknown }
}

export function eventsAt (counts: Uint32Array, code: number): number {
  const first = WIDTH * code
  return (counts[first] ?? 0) + (counts[first + 1] ?? 0) + (counts[first + 2] ?? 0)
}

export function sumOf (a: Tally, b: Tally): Tally {
  return {
    events: a.events + b.events,
    success: a.success + b.success,
    failed: a.failed + b.failed,
    unknown: a.unknown + b.unknown
  }
}

/** All counted events of a tally. */
export function totalOf ({ counts, dictionary }: FieldTally): Tally {
  let total = tallyAt(counts, MISSING)
  for (let code = OTHER; code < dictionary.size; code++) total = sumOf(total, tallyAt(counts, code))
  return total
}

/** Joins the tallies of several tables by value, in slices of time. At most `top` values are listed. */
export async function fieldCounts (tallies: readonly FieldTally[], top: number): Promise<FieldCounts> {
  const best = createRanking(top, isBefore)
  const dictionaries = tallies.map(({ dictionary }) => dictionary)
  const eventsOf = (code: number) => tallies.reduce((sum, { counts }) => sum + eventsAt(counts, code), 0)
  let distinct = 0
  let ofValues = 0
  await eachValue(dictionaries, (codes) => {
    let events = 0
    for (let place = 0; place < tallies.length; place++) events += eventsIn(tallies[place], codes[place])
    if (events === 0) return
    distinct++
    ofValues += events
    // Most values have fewer events than those that are listed. No object is made for them.
    if (events >= (best.last()?.events ?? 0)) best.offer({ value: textOfCodes(dictionaries, codes), ...joined(codes) })
  })
  const values = best.list()
  const listed = values.reduce((sum, each) => sum + each.events, 0)
  return { values, distinct, other_events: ofValues - listed + eventsOf(OTHER), missing_events: eventsOf(MISSING) }

  function joined (codes: ValueCodes): Tally {
    return tallies.reduce((sum, { counts }, place) => {
      const code = codes[place]
      return code === undefined ? sum : sumOf(sum, tallyAt(counts, code))
    }, NO_EVENTS)
  }
}

/** Whether a dictionary could not hold the value of a counted event. */
export function isCapped ({ counts }: FieldTally): boolean {
  return eventsAt(counts, OTHER) > 0
}

function eventsIn (tally: FieldTally | undefined, code: number | undefined): number {
  return tally === undefined || code === undefined ? 0 : eventsAt(tally.counts, code)
}

function isBefore (a: ValueTally, b: ValueTally): boolean {
  return a.events === b.events ? a.value < b.value : a.events > b.events
}

function statusTexts (): Dictionary {
  const dictionary = createDictionary()
  for (const status of STATUSES) dictionary.encode(status)
  return dictionary.snapshot()
}
