import t from 'tap'
import { LONGEST_VALUE } from '../../src/aggregates/dictionary.ts'
import { countFacets } from '../../src/aggregates/facets.ts'
import { partOf, type CountedRow } from '../support/counted-rows.ts'

const event = (email: string, category: string, isSuccess: boolean): CountedRow =>
  [0, { email, category_type: category, action_successful: isSuccess }]

const ROWS = [
  event('a', 'agents', true), event('a', 'agents', false), event('b', 'agents', false), event('b', 'users', false),
  event('c', 'users', true)
]

t.test('a facet is counted under all filters but its own', async (t) => {
  const filter = { email: 'a', category_type: 'agents' }
  const { facets } = await countFacets([partOf(ROWS)], filter, { fields: ['status', 'email', 'category_type'], top: 10 })
  t.same(facets.map(({ field, values }) => [field, values.map(({ events, value }) => [value, events])]), [
    ['status', [['failed', 1], ['success', 1]]],
    ['email', [['a', 2], ['b', 1]]],
    ['category_type', [['agents', 2]]]
  ])
})

t.test('a facet of the status is counted under all filters but the status', async (t) => {
  const { facets: [facet] } = await countFacets([partOf(ROWS)], { status: 'success', email: 'b' }, { fields: ['status'], top: 10 })
  t.same(facet?.values, [{ value: 'failed', events: 2, success: 0, failed: 2, unknown: 0 }])
})

t.test('facets have the order of the fields, and only those that were asked for', async (t) => {
  const { facets } = await countFacets([partOf(ROWS)], {}, { fields: ['email', 'tool_name'], top: 1 })
  t.same(facets, [
    {
      field: 'email',
      values: [{ value: 'a', events: 2, success: 1, failed: 1, unknown: 0 }],
      distinct: 3,
      other_events: 3,
      missing_events: 0
    },
    { field: 'tool_name', values: [], distinct: 0, other_events: 0, missing_events: 5 }
  ])
  t.same(await countFacets([partOf(ROWS)], {}, { fields: [], top: 1 }), { facets: [] })
})

t.test('facets of two parts are joined', async (t) => {
  const { facets: [facet] } = await countFacets([partOf(ROWS), partOf(ROWS.slice(2))], {}, { fields: ['email'], top: 1 })
  t.same(facet?.values, [{ value: 'b', events: 4, success: 0, failed: 4, unknown: 0 }])
  t.same([facet?.distinct, facet?.other_events], [3, 4])
})

t.test('facets say when a value of theirs, or of a filter, may be missing', async (t) => {
  const rows: CountedRow[] = [...ROWS, [0, { email: 'x'.repeat(LONGEST_VALUE + 1) }]]
  const counted = (filter: object, field: 'email' | 'status') =>
    countFacets([partOf(rows)], filter, { fields: [field], top: 10 })
  const { capped, facets: [facet] } = await counted({}, 'email')
  t.same([capped, facet?.distinct, facet?.other_events], [true, 3, 1])
  t.notOk('capped' in await counted({}, 'status'))
  t.equal((await counted({ email: 'nobody' }, 'status')).capped, true)
  t.notOk('capped' in await counted({ category_type: 'agents', email: 'nobody' }, 'email'), 'it is no filter of its own facet')
})
