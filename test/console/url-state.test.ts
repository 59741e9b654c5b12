import fc from 'fast-check'
import t from 'tap'
import {
  COLUMNS,
  FILTER_NAMES,
  OUTCOMES,
  SERIES_FIELDS,
  SESSION_ORDERS,
  VIEWS,
  queryOf,
  readUrlState,
  writeUrlState,
  type UrlState
} from '../../src/console/url-state.ts'
import { anyCharacter, holds } from '../contracts/property.ts'

const anyValue = fc.string({ unit: anyCharacter, minLength: 1, maxLength: 60 })
const optional = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined })

const anyState: fc.Arbitrary<UrlState> = fc.record({
  view: fc.constantFrom(...VIEWS),
  filter: fc.dictionary(fc.constantFrom(...FILTER_NAMES), anyValue, { noNullPrototype: true }),
  start: optional(anyValue),
  end: optional(anyValue),
  event: optional(anyValue),
  session: optional(anyValue),
  layout: fc.constantFrom('conversation', 'timeline'),
  outcome: optional(fc.constantFrom(...OUTCOMES)),
  order: fc.constantFrom(...SESSION_ORDERS),
  by: fc.constantFrom(...SERIES_FIELDS),
  columns: fc.uniqueArray(fc.constantFrom(...COLUMNS), { minLength: 1 }),
  wraps: fc.boolean(),
  zone: fc.constantFrom('utc', 'local'),
  isLive: fc.boolean()
})

t.test('the state in the URL', async (t) => {
  t.test('every state is read as it was written', async (t) => {
    holds(t, fc.property(anyState, (state) => {
      const read = readUrlState(writeUrlState(state))
      if (JSON.stringify(read) !== JSON.stringify(inOrder(state))) throw new Error(JSON.stringify(read))
    }))
  })

  t.test('the usual state has an empty query', async (t) => {
    t.equal(writeUrlState(readUrlState('')), '')
    t.equal(writeUrlState(readUrlState('?view=events&live=1&by=status')), '')
  })

  t.test('what is unknown or unusable has its usual value', async (t) => {
    const state = readUrlState('?view=admin&by=password&cols=,x&tz=mars&live=maybe&outcome=good&order_by=id&status=')
    t.same(state, readUrlState(''))
  })

  t.test("Kubiya's own links open an event or a session", async (t) => {
    t.match(readUrlState('?event=kab1.1.x'), { view: 'events', event: 'kab1.1.x' })
    t.match(readUrlState('?session=s-1'), { view: 'sessions', session: 's-1' })
  })

  t.test('a value is cut at the length that the API accepts', async (t) => {
    t.equal(readUrlState(`?text=${'x'.repeat(300)}`).filter.text?.length, 256)
  })

  t.test('a request has the filters and the times, and nothing else', async (t) => {
    const state = readUrlState('?email=a@b.c&start_time=-1h&end_time=now&view=overview&event=x&tz=utc')
    t.same(queryOf(state), { email: 'a@b.c', start_time: '-1h', end_time: 'now' })
  })
})

/** A state with its filters in the order of the API. */
function inOrder (state: UrlState): UrlState {
  const filter = Object.fromEntries(FILTER_NAMES.flatMap((name) => name in state.filter ? [[name, state.filter[name]]] : []))
  return { ...state, filter }
}
