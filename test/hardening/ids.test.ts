import t from 'tap'
import { identify } from '../../src/audit/identity.ts'
import type { JsonObject } from '../../src/audit/json.ts'
import { item, startService } from '../support.ts'

const EVENTS = '/api/v1/audit/events'
const SEARCH = `${EVENTS}/search`
const FIT = ['a/b', 'qL+8xw==', 'user@host/7', 'a b', 'a?b#c', '100%', 'C:\\logs\\7', 'é✅', '"quoted"', '✅'.repeat(200)]
const UNFIT = ['', ' a', 'a ', '/a', 'a//b', '../x', 'a/./b', '%2e%2e', 'a%2F..%2Fb', 'a\\..\\b', 'a\u0000', 'a\nb', 'search', 'kab1.0.x', 'x'.repeat(201)]
const READ = /^\/api\/v1\/auditing\/items\/(.+)$/

t.test('ids: every printable id of Kubiya is the event\'s id in lists, and describe finds it', async (t) => {
  const service = await startService(t)
  service.sandbox.publish(...FIT.map((id) => item({ id })))
  const listed = (await service.json(EVENTS)).items as JsonObject[]
  t.same(new Set(listed.map(({ id }) => id)), new Set(FIT))
  t.notOk(listed.some((each) => 'upstream_id' in each))
  for (const id of FIT) {
    const found = await service.json(`${EVENTS}/${encodeURIComponent(id)}`)
    t.equal(found.id, id)
  }
})

t.test('ids: an id that could leave its path is never put into a path of Kubiya\'s', async (t) => {
  const service = await startService(t)
  service.sandbox.publish(...FIT.map((id) => item({ id })))
  for (const id of FIT) await service.json(`${EVENTS}/${encodeURIComponent(id)}`)
  const asked = service.sandbox.requests.map(({ path }) => READ.exec(path)?.[1]).filter((id) => id !== undefined).map(decodeURIComponent)
  t.same(new Set(asked), new Set(FIT.filter((id) => !/[/\\%?#]/.test(id))))
})

t.test('ids: an id that does not count is kept, and a search finds it', async (t) => {
  const service = await startService(t)
  service.sandbox.publish(...UNFIT.map((id) => item({ id })), item({ id: '../taken', upstream_id: 'theirs', upstream_id_2: 'theirs, too' }))
  const listed = (await service.json(EVENTS)).items as JsonObject[]
  t.ok(listed.every(({ id }) => String(id).startsWith('kab1.')))
  t.same(new Set(listed.map(({ upstream_id: kept }) => kept)), new Set([...UNFIT, 'theirs']))
  const taken = listed.find(({ upstream_id: kept }) => kept === 'theirs')
  t.match(taken, { upstream_id_2: 'theirs, too', upstream_id_3: '../taken' })
  t.same((await service.json(`${SEARCH}?text=${encodeURIComponent('a%2F..%2Fb')}`)).items.map((each: JsonObject) => each.upstream_id), ['a%2F..%2Fb'])
  for (const { id, upstream_id: kept } of listed) t.equal((await service.json(`${EVENTS}/${String(id)}`)).upstream_id, kept)
})

t.test('ids: an id that no event can have is refused, and Kubiya is not asked', async (t) => {
  const service = await startService(t)
  await service.settled()
  const before = service.sandbox.requests.filter(({ path }) => READ.test(path)).length
  for (const id of UNFIT.filter((each) => each !== '' && each !== 'search')) {
    const answer = await service.get(`${EVENTS}/${encodeURIComponent(id)}`)
    t.equal(answer.status, 400, JSON.stringify(id))
    await answer.text()
  }
  t.equal(service.sandbox.requests.filter(({ path }) => READ.test(path)).length, before)
})

t.test('ids: what has no id, or an id of another type, loses nothing', async (t) => {
  for (const id of [null, 1.5, true, ['a'], { deep: ['b'] }]) {
    const [event] = identify([{ id, n: 1 }])
    t.match(JSON.parse(event?.json ?? ''), { id: /^kab1\./, upstream_id: id, n: 1 })
  }
  t.same(Object.keys(JSON.parse(identify([{ n: 1 }])[0]?.json ?? '') as JsonObject), ['id', 'n'])
  t.match(JSON.parse(identify([{ id: '/a', audit_id: 'b' }])[0]?.json ?? ''), { id: 'b', audit_id: 'b', upstream_id: '/a' })
})
