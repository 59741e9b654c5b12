import type { Batch, NewEntry } from '../../src/audit/log-batch.ts'
import { identify } from '../../src/audit/event-id.ts'
import { formatInstant, parseInstant, type Instant } from '../../src/audit/instant.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import { withSortKeys, type KeyedEvent } from '../../src/audit/sort-key.ts'
import { createEventLog, type EventLog, type EventLogOptions } from '../../src/live/log/event-log.ts'

export const TEN = parseInstant('2025-06-03T10:00:00Z') ?? 0n
export const TEN_MS = Number(TEN / 1_000_000n)
export const EPOCH = 'epoch1'

/** So many seconds after ten o'clock. */
export function at (seconds: number): Instant {
  return TEN + BigInt(Math.round(seconds * 1000)) * 1_000_000n
}

export type Named = [name: string, seconds: number | undefined]

/** Rows of events with these ids, in the order of an upstream. */
export function rows (named: Named[]): KeyedEvent[] {
  return withSortKeys(identify(named.map(itemOf)), 'asc', TEN)
}

export function row (name: string, seconds: number | undefined): KeyedEvent {
  return rows([[name, seconds]])[0] ??
    { event: { id: name, instant: undefined, item: {}, json: '' }, key: { instant: 0n, id: name } }
}

function itemOf ([id, seconds]: Named): JsonObject {
  return seconds === undefined ? { id } : { id, timestamp: formatInstant(at(seconds)) }
}

/** What the poller makes of these: events with ids and instants, none of them late. */
export function freshOf (items: JsonObject[]): NewEntry[] {
  return identify(items).map((event) => ({ event, late: false }))
}

export function freshNamed (named: Named[]): NewEntry[] {
  return freshOf(named.map(itemOf))
}

/** A batch of events of the given names, one second apart. */
export function batch (first: number, names: string[], more: Partial<Batch> & { pad?: number } = {}): Batch {
  const { pad = 0, ...fields } = more
  const items = names.map((id, i): JsonObject => ({
    id,
    timestamp: formatInstant(at(first + i)),
    pad: 'x'.repeat(pad)
  }))
  return { epoch: EPOCH, first, entries: freshOf(items), highWater: at(first + names.length - 1), ...fields }
}

export function openLog (options: Partial<EventLogOptions> = {}): EventLog {
  return createEventLog({
    epoch: EPOCH,
    start: at(-300),
    maxEvents: 1000,
    maxBytes: 1_000_000,
    remembers: at(1000) - at(0),
    mostRemembered: 100_000,
    ...options
  })
}

/** How an entry is spoken of in a test: the event's id, or the reason of a gap. */
export function nameOf (fresh: NewEntry): string {
  return 'gap' in fresh ? fresh.gap.reason : fresh.event.id
}
