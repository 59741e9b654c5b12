import type { Test } from 'tap'
import { cliSearch, sdkSearch, type ClientQuery, type Event } from '../support/kubiya-clients.ts'
import { item } from '../support/support.ts'

/** Something that answers Kubiya's list and describe. */
export interface KubiyaApi {
  get (path: string): Promise<{ readonly status: number, readonly body: unknown }>
  publish (items: Event[]): void
}

/** What one of the two knows and the other cannot: each is stated here, and nothing else may differ. */
export interface Differences {
  /** Every event has an `id`. Nobody knows whether Kubiya gives one, so the stand-in gives only its own. */
  readonly alwaysHasIds: boolean
  /** `search_text` and `status_filter` narrow the list. Kubiya may ignore them, so the stand-in does. */
  readonly appliesSearch: boolean
  /** Unknown parameters and filter keys are refused. Kubiya may ignore them; the stand-in takes any key of an event. */
  readonly isStrict: boolean
  /** A date alone is its midnight in UTC. */
  readonly readsDates: boolean
  /** `session_id` means the same as `extra.session_id`. Nobody knows which of them Kubiya takes. */
  readonly readsBothSessionKeys: boolean
}

const ITEMS = '/api/v1/auditing/items'
const START_MS = Date.parse('2025-06-03T10:00:00Z')
const COUNT = 130

function timeOf (n: number): string {
  return new Date(START_MS + n * 1000).toISOString()
}

function downTo (from: number, to: number): number[] {
  return Array.from({ length: from - to + 1 }, (_, n) => from - n)
}

const EVENTS = Array.from({ length: COUNT }, (_, n) => item({
  n,
  id: `own-${n}`,
  timestamp: timeOf(n),
  category_type: n % 2 === 0 ? 'agents' : 'ai',
  category_name: n === 7 ? 'DevOps Helper & co' : 'helper',
  resource_type: n === 8 ? 'Tool Execution' : 'Message',
  action_type: n === 9 ? 'executed' : 'sent',
  email: n === 10 ? 'é+x@acme.test' : 'user1@acme.test',
  resource_text: n === 11 ? 'the needle ✅' : 'hay',
  action_successful: n !== 12,
  extra: { session_id: n === 13 ? 's 13' : 's-1', tool_name: n === 14 ? 'kubectl_restart' : 'none' }
}))

/** What a program of Kubiya's may count on, whether it asks the stand-in for Kubiya or this service. */
export function kubiyaApiContract (
  t: Test,
  open: (t: Test) => Promise<KubiyaApi>,
  differences: Differences
): void {
  const opened = async (t: Test) => createAsker(t, await open(t))
  listContract(t, opened, differences)
  timeContract(t, opened, differences)
  otherContract(t, opened, differences)
}

type Opened = (t: Test) => Promise<ReturnType<typeof createAsker>>

/** Publishes the events, and asks for them. */
function createAsker (t: Test, api: KubiyaApi) {
  api.publish(EVENTS)
  return { ...api, items, raw, asked }

  async function items (search: string): Promise<Event[]> {
    const { body, status } = await api.get(`${ITEMS}${search}`)
    t.equal(status, 200, search)
    t.ok(Array.isArray(body), `a bare array: ${search}`)
    return body as Event[]
  }

  async function raw (search: string): Promise<number[]> {
    return (await items(search)).map(({ n }) => n as number)
  }

  /** The same question as the SDK and as the CLI ask it, which must get the same answer. */
  async function asked (query: ClientQuery): Promise<number[]> {
    const found = await raw(`?${sdkSearch(query)}`)
    t.same(await raw(`?${cliSearch(query)}`), found, 'the same for both clients')
    return found
  }
}

function listContract (t: Test, opened: Opened, { readsBothSessionKeys }: Differences): void {
  t.test('lists the newest fifty where nothing is asked for, as the items that they are', async (t) => {
    const { asked, items, raw } = await opened(t)
    for (const search of ['', '?filter=%7B%7D', '?filter=%7B%22timestamp%22%3A%7B%7D%7D', '?sort=%7B%7D']) {
      t.same(await raw(search), downTo(129, 80))
    }
    t.same(await asked({}), downTo(129, 80))
    t.same((await items(''))[0], EVENTS[129])
  })

  t.test('narrows by each key of the filter', async (t) => {
    const { asked } = await opened(t)
    const filters: Array<[filter: Record<string, string>, expected: number[]]> = [
      [{ category_type: 'ai' }, downTo(129, 30).filter((n) => n % 2 === 1)],
      [{ category_name: 'DevOps Helper & co' }, [7]],
      [{ resource_type: 'Tool Execution' }, [8]],
      [{ action_type: 'executed' }, [9]],
      [{ session_id: 's 13' }, readsBothSessionKeys ? [13] : []],
      [{ 'extra.session_id': 's 13' }, [13]],
      [{ email: 'é+x@acme.test' }, [10]],
      [{ 'extra.tool_name': 'kubectl_restart' }, [14]],
      [{ category_type: 'agents', 'extra.tool_name': 'kubectl_restart' }, [14]],
      [{ category_type: 'ai', 'extra.tool_name': 'kubectl_restart' }, []],
      [{ category_type: 'AI' }, []]
    ]
    for (const [filter, expected] of filters) t.same(await asked({ filter }), expected, JSON.stringify(filter))
  })

  t.test('sorts both ways, and pages to the end', async (t) => {
    const { asked } = await opened(t)
    for (const direction of [1, -1] as const) {
      const sizes: number[] = []
      const found: number[] = []
      for (let page = 1; page <= 6; page++) {
        const rows = await asked({ direction, page, pageSize: 30 })
        sizes.push(rows.length)
        found.push(...rows)
      }
      t.same(sizes, [30, 30, 30, 30, 10, 0])
      t.same(found, direction === 1 ? downTo(129, 0).reverse() : downTo(129, 0))
    }
    t.same(await asked({ pageSize: 1000 }), downTo(129, 0))
    t.same(await asked({ page: 99, pageSize: 1000 }), [])
  })
}

function timeContract (t: Test, opened: Opened, { readsDates }: Differences): void {
  t.test('includes both bounds, in every form of a time', async (t) => {
    const { asked, raw } = await opened(t)
    const forms = [
      '2025-06-03T10:00:05Z', '2025-06-03T10:00:05.000Z', '2025-06-03T10:00:05.000000000Z', '2025-06-03T12:00:05+02:00',
      '2025-06-03T10:00:05', '2025-06-03 10:00:05'
    ]
    for (const form of forms) {
      t.same(await asked({ filter: { timestamp: { gte: timeOf(3), lte: form } } }), [5, 4, 3], form)
      t.same(await asked({ filter: { timestamp: { gte: form, lte: timeOf(7) } } }), [7, 6, 5], form)
      t.same((await asked({ filter: { timestamp: { gte: form } }, direction: 1, pageSize: 2 })), [5, 6], form)
    }
    t.same(await asked({ filter: { timestamp: { gte: '2025-06-03T10:00:05.5Z', lte: timeOf(7) } } }), [7, 6])
    t.same(await asked({ filter: { timestamp: { gte: timeOf(500) } } }), [])
    t.same(await raw('?filter={"timestamp":+{"gte":+"2025-06-03T10:02:08Z"}}'), [129, 128], 'blanks as +')
    if (readsDates) t.same(await raw('?page_size=1&filter={"timestamp":{"gte":"2025-06-03"}}'), [129])
  })
}

function otherContract (t: Test, opened: Opened, { alwaysHasIds, appliesSearch, isStrict }: Differences): void {
  t.test('takes the parameters of a search', async (t) => {
    const { raw } = await opened(t)
    t.same(await raw('?search_text=NEEDLE+%E2%9C%85'), appliesSearch ? [11] : downTo(129, 80))
    t.same(await raw('?status_filter=failed'), appliesSearch ? [12] : downTo(129, 80))
    t.same(await raw('?timeout_minutes=5&verbose=true&page_size=1'), [129])
  })

  t.test('describes an event by its id', async (t) => {
    const { get, items, publish } = await opened(t)
    const { body, status } = await get(`${ITEMS}/own-9`)
    t.same([status, body], [200, EVENTS[9]])
    const missing = await get(`${ITEMS}/nothing-of-that-id`)
    t.match(missing, { status: 404, body: { error: /./, details: /./, errorCode: 'NOT_FOUND', status: 404 } })
    const { id: _, ...anonymous } = item({ n: 1000, timestamp: timeOf(1000) })
    publish([anonymous])
    const [first] = await items('?page_size=1')
    t.equal(first?.n, 1000)
    t.equal(typeof first?.id, alwaysHasIds ? 'string' : 'undefined')
    if (alwaysHasIds) t.same((await get(`${ITEMS}/${first?.id}`)).body, first)
  })

  t.test('refuses what makes no sense, in the same form', async (t) => {
    const { get } = await opened(t)
    const senseless = ['?filter=%7B', '?filter=%5B%5D', '?sort=%7B%22timestamp%22%3A2%7D', '?sort=%7B%22id%22%3A1%7D',
      '?page=0', '?page=x', '?page_size=0', '?page=1&page=2', '?filter={"timestamp":{"gte":"soon"}}',
      '?filter={"timestamp":{"gt":"2025-06-03T10:00:00Z"}}']
    const unknown = ['?cursor=x', '?filter={"org":"acme"}']
    for (const search of [...senseless, ...isStrict ? unknown : []]) {
      const { body, status } = await get(`${ITEMS}${search}`)
      t.equal(status, 400, search)
      t.match(body, { error: /./, details: /./, errorCode: /^INVALID_/, status: 400 }, search)
    }
    if (!isStrict) for (const search of unknown) t.equal((await get(`${ITEMS}${search}`)).status, 200, search)
    t.match(await get('/api/v1/auditing/users'), { status: 404, body: { errorCode: 'NOT_FOUND', status: 404 } })
  })
}
