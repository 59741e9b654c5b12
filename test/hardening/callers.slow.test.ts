import t from 'tap'
import { eventually } from '../support/support.ts'
import { EVENTS, ALICE, BOB, startPassthrough, listen } from './passthrough-callers.ts'

t.test('passthrough credentials', async (t) => {
  t.test('MAX_TENANTS limits tenants: an idle one is replaced, a busy one is not', async (t) => {
    const { service } = await startPassthrough(t, { MAX_TENANTS: '1', UPSTREAM_TIMEOUT_MS: '2000' })
    const alice = listen(t, service, ALICE)
    await alice.untilEvents(3)
    const refused = await service.get(EVENTS, { authorization: BOB })
    t.equal(refused.status, 503)
    t.ok(Number(refused.headers.get('retry-after')) > 0)
    alice.socket.close()
    await eventually('bob is served', async () => (await service.get(EVENTS, { authorization: BOB })).status === 200)
  })
})
