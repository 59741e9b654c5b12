import fc from 'fast-check'
import t from 'tap'
import { createAuthFailureLimit } from '../../src/access/auth-failure-limit.ts'
import { type Caller, credentialOf } from '../../src/access/caller.ts'
import { type CheckQueueLimits, createCheckQueue } from '../../src/access/check-queue.ts'
import { addressKey, callerKey, networksOf, trustIn, withoutPort } from '../../src/access/client-address.ts'
import { createPassthroughAuth, type PassthroughAuthOptions } from '../../src/access/passthrough-auth.ts'
import { createBytePool, type PoolShare } from '../../src/audit/byte-pool.ts'
import type { CloseReason } from '../../src/live/transport/close-codes.ts'
import type { Tenant } from '../../src/tenants/tenant.ts'
import { createOwnTenants } from '../../src/tenants/tenants.ts'
import { holds } from '../contracts/property.ts'
import { createManualClock } from '../support/manual-clock.ts'

const bearer = (token: string) => ({ scheme: 'Bearer' as const, token })

t.test('the client address', async (t) => {
  t.test('is read from proxy headers without its port; an invalid one counts as the proxy', async (t) => {
    const proxy = '192.0.2.250'
    for (
      const [said, key] of [
        ['192.0.2.1:4711', '192.0.2.1'],
        ['[2001:db8:1:2::9]:443', '2001:db8:1:2::/64'],
        ['[2001:db8:1:2::9]', '2001:db8:1:2::/64'],
        ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
        ['::ffff:192.0.2.1', '192.0.2.1'],
        ['::ffff:c000:201', '192.0.2.1'],
        ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
        ['garbage-1', proxy],
        ['', proxy],
        ['unknown', proxy],
        ['_hidden', proxy],
        ['999.0.2.1', proxy],
        ['[192.0.2.1]:80', proxy],
        ['192.0.2.1:', proxy],
        ['[::1', proxy]
      ] as const
    ) t.equal(callerKey(said, [proxy, said]), key, said)
    t.equal(
      callerKey('x', [proxy, '192.0.2.249:80', 'x']),
      '192.0.2.249',
      'the proxy that wrote it, not the one in front'
    )
    t.equal(callerKey('192.0.2.1'), '192.0.2.1')
    holds(
      t,
      fc.property(
        fc.oneof(fc.ipV4(), fc.ipV6().map((ip) => `[${ip}]`)),
        fc.integer({ min: 1, max: 65_535 }),
        (address, port) => callerKey('', ['10.0.0.1', `${address}:${port}`]) === addressKey(withoutPort(address))
      )
    )
  })

  t.test('is trusted from the configured proxies, in any notation', async (t) => {
    const trust = trustIn('10.0.0.0/8, 2001:db8::/32, 192.0.2.7')
    if (typeof trust === 'boolean') return t.fail('must be a function')
    for (
      const good of ['10.1.2.3', '10.1.2.3:80', '::ffff:10.1.2.3', '2001:db8::1', '[2001:db8::1]:80', '192.0.2.7']
    ) { t.ok(trust(good, 0), good) }
    for (const other of ['11.0.0.1', '192.0.2.8', '2001:db9::1', 'x', '']) t.notOk(trust(other, 0), other)
    const two = trustIn('2')
    t.same([0, 1, 2].map((hop) => typeof two !== 'boolean' && two('x', hop)), [true, true, false])
    t.same(['true', 'false'].map(trustIn), [true, false])
  })

  t.test('belongs to networks that one customer may own', async (t) => {
    t.same(networksOf(addressKey('2001:db8:1:2f3::1')), { narrow: '2001:db8:1::200/56', wide: '2001:db8:1::/48' })
    t.same(networksOf('192.0.2.7'), { narrow: '192.0.2.0/24', wide: '192.0.0.0/16' })
    t.same(networksOf(''), { narrow: '', wide: '' })
  })
})

t.test('a repeated Authorization header is unreadable, in any case and order', async (t) => {
  const headers = { authorization: 'Bearer abc' }
  t.same(
    credentialOf(headers, ['Host', 'a', 'Authorization', 'Bearer abc', 'X', 'authorization']),
    bearer('abc'),
    'a value is no name'
  )
  for (const other of ['Bearer abc', 'Bearer other', '']) {
    t.equal(credentialOf(headers, ['AUTHORIZATION', 'Bearer abc', 'Host', 'a', 'authorization', other]), 'unreadable')
  }
})

t.test('the check queue', async (t) => {
  const OPTIONS: CheckQueueLimits = {
    maxRunning: 4,
    maxUnproven: 3,
    maxPerAddress: 2,
    maxWaitingPerAddress: 5,
    maxWaiting: 8,
    maxWaitMs: 60_000
  }

  /** Tasks that end when they are told to. */
  function lineOf (options: Partial<CheckQueueLimits> = {}) {
    const clock = createManualClock()
    const line = createCheckQueue({ ...OPTIONS, ...options }, clock)
    const begun: Array<{ readonly name: string, readonly end: () => void }> = []
    const run = (address: string, name = address, isProven = false) =>
      line.run(address, isProven, () =>
        new Promise<string>((resolve) => {
          begun.push({ name, end: () => resolve(name) })
        }))
    return { line, clock, begun, run, names: () => begun.map(({ name }) => name) }
  }

  t.test('limits checks per address and in total, and gives addresses turns', async (t) => {
    const { begun, names, run } = lineOf()
    const all = ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1'].map((name) => run(name.charAt(0), name))
    t.same(names(), ['a1', 'a2', 'b1'])
    for (let n = 0; n < all.length; n++) {
      begun[n]?.end()
      await Promise.race([all[n], new Promise(setImmediate)])
      await new Promise(setImmediate)
    }
    t.same(names(), ['a1', 'a2', 'b1', 'a3', 'b2', 'c1', 'a4'])
    t.same((await Promise.all(all)).sort(), names().sort())
  })

  t.test('serves proven addresses first and reserves capacity for them', async (t) => {
    const { begun, names, run } = lineOf()
    const all = ['a', 'b', 'c', 'd'].map((name) => run(name))
    all.push(run('good', 'good', true), run('fine', 'fine', true))
    t.same(names(), ['a', 'b', 'c', 'good'])
    begun[0]?.end()
    await all[0]
    await new Promise(setImmediate)
    t.equal(names()[4], 'fine', 'before those that came earlier')
    for (let n = 0; n < 6; n++) {
      begun[n]?.end()
      await new Promise(setImmediate)
    }
    await Promise.all(all)
  })

  t.test('rejects checks beyond its length, and checks that waited too long', async (t) => {
    const { begun, clock, line, run } = lineOf({ maxWaitMs: 20 })
    const first = [run('a'), run('a')]
    const late = Array.from({ length: 9 }, () => run('a'))
    t.equal(await Promise.race([...late.slice(5)]), 'busy', 'five of one address wait')
    const others = ['b', 'c', 'd', 'e', 'f'].map((address) => run(address))
    t.equal(await others[4], 'busy', 'eight in all wait')
    clock.advance(20)
    t.same(await Promise.all([...late, ...others.slice(1)]), Array(13).fill('busy'))
    for (const { end } of begun) end()
    t.same(await Promise.all(first), ['a', 'a'])
    await others[0]
    t.equal(line.size(), 0)
  })

  t.test('continues after a check that throws', async (t) => {
    const { line } = lineOf({ maxPerAddress: 1 })
    const failing = line.run('a', false, async () => { throw new Error('no') })
    const next = line.run('a', false, async () => 'yes')
    await t.rejects(failing, { message: 'no' })
    t.equal(await next, 'yes')
    t.equal(line.size(), 0)
  })
})

t.test('passthrough verdicts', async (t) => {
  type Word = Awaited<ReturnType<PassthroughAuthOptions['probe']>>
  const DOWN: Word = { ok: false, code: 'upstream-unavailable', detail: 'down' }
  const REFUSED = { ok: false, code: 'unauthorized' }

  function setup (graceMs = 10_000) {
    const clock = createManualClock()
    let answer: () => Word | Promise<Word> = () => 'accepted'
    const probed: Caller[] = []
    const authenticator = createPassthroughAuth({
      async probe (caller) {
        probed.push(caller)
        return await answer()
      },
      recheckMs: 1000,
      graceMs,
      authFailures: createAuthFailureLimit(clock),
      onRevoked: () => {},
      clock
    })
    return {
      authenticator,
      probed,
      authenticate: async (token = 'a', address = '192.0.2.1') => authenticator.authenticate(bearer(token), address),
      says: (next: typeof answer) => { answer = next },
      pass: clock.advance
    }
  }

  t.test('stay valid for the grace time while Kubiya fails, but only after an acceptance', async (t) => {
    for (
      const down of [DOWN, { ok: false, code: 'upstream-timeout', detail: '' }, {
        ok: false,
        code: 'upstream-throttled',
        detail: ''
      }] as const
    ) {
      const { authenticate, pass, probed, says } = setup()
      await authenticate()
      says(() => down)
      pass(1000)
      t.match(await authenticate(), { ok: true, caller: { isUnchecked: true } })
      t.match(await authenticate(), { ok: true, caller: { isUnchecked: true } })
      t.equal(probed.length, 2, 'not asked again at once')
      t.match(await authenticate('b'), down, 'one that is new')
      pass(9999)
      t.match(await authenticate(), { ok: true })
      pass(1)
      t.match(await authenticate(), down, 'too long ago')
      says(() => 'accepted')
      t.same((await authenticate() as { caller: Caller }).caller.isUnchecked, undefined)
    }
    const { authenticate, pass, says } = setup(0)
    await authenticate()
    says(() => DOWN)
    pass(1000)
    t.match(await authenticate(), DOWN, 'no such time is set')
  })

  t.test('that refuse apply at once, and a late acceptance does not undo them', async (t) => {
    const { authenticate, authenticator, pass, probed, says } = setup()
    await authenticate()
    says(() => DOWN)
    pass(1000)
    await authenticate()
    authenticator.heard(probed[0]?.key ?? '', 'unauthorized')
    t.match(await authenticate(), REFUSED)
    pass(60_000)
    let release = (_: Word) => {}
    says(() => new Promise((resolve) => { release = resolve }))
    const late = authenticate()
    await new Promise(setImmediate)
    pass(5)
    authenticator.heard(probed[0]?.key ?? '', 'unauthorized')
    release('accepted')
    t.match(await late, REFUSED)
    t.match(await authenticate(), REFUSED)
    for (const word of ['unauthorized', 'forbidden'] as const) {
      const other = setup()
      await other.authenticate()
      other.says(() => word)
      other.pass(1000)
      t.match(await other.authenticate(), { ok: false, code: word })
      other.says(() => DOWN)
      other.pass(500)
      t.match(await other.authenticate(), { ok: false, code: word }, 'an outage does not bring it back')
    }
  })

  t.test('are requested for at most thirty invalid credentials of one address, eight at a time', async (t) => {
    const { authenticate, probed, says } = setup()
    let [underWay, most] = [0, 0]
    says(async () => {
      most = Math.max(most, ++underWay)
      await new Promise(setImmediate)
      underWay--
      return probed.at(-1)?.address === '192.0.2.1' ? 'unauthorized' : 'accepted'
    })
    const bad = Array.from({ length: 256 }, (_, n) => authenticate(`bad-${n}`))
    await Promise.all(bad)
    t.equal(probed.length, 30)
    t.ok(most <= 8, `${most}`)
    says(() => 'accepted')
    const good = await Promise.all(
      Array.from({ length: 100 }, (_, n) => authenticate(`good-${n}`, `198.51.100.${n % 10}`))
    )
    t.ok(good.every(({ ok }) => ok))
    t.match(await authenticate('good', '192.0.2.1'), { code: 'rate-limited', detail: /from this address/ })
  })
})

t.test('a byte pool', async (t) => {
  t.test('never exceeds its bound, and no member loses bytes to a larger one', async (t) => {
    holds(t, fc.property(fc.integer({ min: 100, max: 500_000 }), fc.array(fc.tuple(fc.nat(4), fc.integer({ min: 1, max: 200_000 })), { maxLength: 60 }), (maxBytes, steps) => {
      const pool = createBytePool(maxBytes)
      const held = [0, 0, 0, 0, 0]
      const shares: PoolShare[] = held.map((_, n) => pool.join({
        shrink (bytes) {
          const before = held[n] ?? 0
          if (before < Math.max(...held)) throw new Error('another one held more')
          held[n] = Math.max(0, before - bytes)
          return held[n]
        }
      }))
      return steps.every(([n, bytes]) => {
        held[n] = (held[n] ?? 0) + bytes
        shares[n]?.hold(held[n] ?? 0)
        const sum = held.reduce((total, each) => total + each, 0)
        return pool.bytes() === sum && sum <= maxBytes
      })
    }))
  })

  t.test('frees the bytes of a member that leaves, and a member that keeps its bytes blocks no other', async (t) => {
    const pool = createBytePool(100)
    const stubborn = pool.join({ shrink: () => 90 })
    stubborn.hold(90)
    pool.join({ shrink: () => 0 }).hold(20)
    t.ok(pool.bytes() <= 110)
    stubborn.leave()
    stubborn.hold(90)
    t.ok(pool.bytes() <= 20, 'one that has left holds nothing')
  })
})

t.test('tenants', async (t) => {
  function setup (most: number) {
    const clock = createManualClock()
    const ended: Array<[key: string, reason: string]> = []
    const streams = new Map<string, number>()
    const tenants = createOwnTenants({
      create: ({ key }) => ({
        hub: { size: () => streams.get(key) ?? 0 },
        exports: { size: () => 0 },
        start: () => {},
        shutdownNow: async ({ reason }: CloseReason) => { ended.push([key, reason]) }
      }) as unknown as Tenant,
      max: most,
      idleMs: 1e6,
      requestMs: 10,
      onError: (error) => { throw error },
      clock
    })
    t.teardown(() => tenants.drain().catch(() => {}))
    const enter = (key: string, address: string) => tenants.acquire({ key, address }) !== undefined
    return { enter, ended, streams, tenants, pass: clock.advance }
  }

  t.test('may all belong to one address while there is room; then its idle ones end first', async (t) => {
    const { ended, enter, pass } = setup(8)
    t.ok(enter('b0', 'b'))
    for (let n = 0; n < 7; n++) t.ok(enter(`a${n}`, 'a'))
    t.notOk(enter('c0', 'c'), 'requests may be under way')
    pass(10)
    t.ok(enter('a0', 'a'), 'used again')
    t.ok(enter('c0', 'c'))
    t.same(ended, [['a1', 'max-age']], 'not the idle one of b, which is older')
    pass(10)
    t.ok(enter('a7', 'a'), 'it may replace its own')
    t.same(ended.at(-1), ['a2', 'max-age'])
  })

  t.test('in use end where an address exceeds its quarter, and no address evicts beyond its share', async (t) => {
    const { ended, enter, pass, streams } = setup(8)
    for (let n = 0; n < 8; n++) {
      enter(`a${n}`, 'a')
      streams.set(`a${n}`, 1)
    }
    pass(10)
    t.ok(enter('b0', 'b'))
    t.ok(enter('b1', 'b'))
    streams.set('b0', 1).set('b1', 1)
    t.notOk(enter('b2', 'b'), 'b has a quarter, and none that is idle')
    t.notOk(enter('a8', 'a'))
    pass(10)
    for (const address of ['c', 'd', 'e', 'f']) {
      for (let n = 0; n < 2; n++) if (enter(`${address}${n}`, address)) streams.set(`${address}${n}`, 1)
      pass(10)
    }
    const left = ended.filter(([key]) => key.startsWith('a')).length
    t.equal(left, 6, 'a keeps its quarter')
    t.notOk(ended.some(([key]) => !key.startsWith('a')))
    t.ok(ended.every(([, reason]) => reason === 'max-age'), 'nothing is said against the credential')
  })

  t.test('of a refused credential end with `unauthorized`', async (t) => {
    const { ended, enter, tenants } = setup(1)
    enter('a', 'a')
    tenants.evict('a')
    t.same(ended, [['a', 'unauthorized']])
  })
})
