import t from 'tap'
import { measureDrift } from '../../src/aggregates/drift-detector.ts'
import { createEventTable } from '../../src/aggregates/event-table.ts'
import { identify } from '../../src/audit/event-id.ts'
import { formatInstant, type Instant } from '../../src/audit/instant.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import type { FailureKind } from '../../src/audit/source.ts'
import { USUAL_HABITS, createMemorySource } from '../contracts/memory-source.ts'
import { TEN_MS, at } from '../support/timeline.ts'

// The last closed hour is from nine to ten o'clock.
const OPTIONS = { nowMs: TEN_MS + 600_000, latenessMs: 120_000, rowLimit: 1000 }
const itemAt = (seconds: number, n = 0): JsonObject => ({ timestamp: formatInstant(at(seconds)), n })
const HOUR = Array.from({ length: 60 }, (_, minute) => itemAt(-60 * (minute + 1)))

/** A table with these events, complete since an instant. */
function tableOf (items: JsonObject[], since: Instant | undefined) {
  const table = createEventTable({ maxEvents: 1000 })
  for (const event of identify(items)) table.add(event, event.instant ?? at(-1800))
  return { ...table, coveredFrom: () => since }
}

function sourceOf (items: JsonObject[], kind?: FailureKind) {
  const source = createMemorySource(USUAL_HABITS, () => kind && { ok: false, kind })
  source.keep(...identify(items).map(({ instant = at(-1800), item }) => ({ at: instant, item })))
  return source
}

t.test('the drift detector', async (t) => {
  const outside = [itemAt(-3700), itemAt(0), itemAt(5)]
  const drift = (shown: JsonObject[], counted: JsonObject[], since: Instant | undefined = at(-7200), kind?: FailureKind) =>
    measureDrift({ ...OPTIONS, source: sourceOf(shown, kind), table: tableOf(counted, since) })

  t.equal(await drift(HOUR, HOUR), 0, 'equal events are no drift')
  t.equal(await drift([...HOUR, ...outside], HOUR), 0, 'other hours do not count')
  t.equal(await drift(HOUR, [...HOUR, ...outside]), 0)
  t.equal(await drift([...HOUR, itemAt(-30, 1), itemAt(-31, 2)], HOUR), 2, 'events that the table lacks')
  t.equal(await drift(HOUR.slice(3), HOUR), 3, 'events that Kubiya has deleted')
  t.equal(await drift([...HOUR, { n: 'undated' }], HOUR), 0, 'an event without an instant belongs to no hour')
  t.equal(await drift(HOUR, HOUR, at(-3000)), undefined, 'the table does not hold the whole hour')
  t.equal(await drift(HOUR, HOUR, at(-7200), 'unavailable'), undefined, 'Kubiya fails')
})

t.test('the drift detector checks no hour with a gap, and no hour that is too long', async (t) => {
  const table = tableOf(HOUR, at(-7200))
  t.equal(await measureDrift({ ...OPTIONS, source: sourceOf(HOUR), table, rowLimit: 10 }), undefined)
  table.addGap({ from: at(-100), to: at(-90) })
  t.equal(await measureDrift({ ...OPTIONS, source: sourceOf(HOUR), table }), undefined)
})
