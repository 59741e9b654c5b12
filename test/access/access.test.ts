import fc from 'fast-check'
import t from 'tap'
import { addressKey } from '../../src/access/client-address.ts'
import { credentialOf, digestOf } from '../../src/access/caller.ts'
import { createRateLimits } from '../../src/access/rate-limits.ts'
import { createOrigins, isOrigin } from '../../src/access/origins.ts'
import { createPassthroughAuth, type PassthroughAuthOptions } from '../../src/access/passthrough-auth.ts'
import { createStreamSlots } from '../../src/access/stream-slots.ts'
import { TICKET_MS, createTickets } from '../../src/access/tickets.ts'
import { createTokenAuth, isSoundToken, tokensIn } from '../../src/access/token-auth.ts'
import { createAuthFailureLimit } from '../../src/access/auth-failure-limit.ts'
import { createExpiryTimers } from '../../src/live/fanout/expiry-timers.ts'
import { readSettings } from '../../src/settings/read-settings.ts'
import { createTokenBucket, takeTokens, waitForTokens } from '../../src/token-bucket.ts'
import { holds } from '../contracts/property.ts'
import { createManualClock } from '../support/manual-clock.ts'

const TOKEN = 'a-token-of-some-length'
const bearer = (token: string) => ({ scheme: 'Bearer' as const, token })

t.test('a credential', async (t) => {
  t.test('is read from the header, whatever the case of its scheme, or from an offered subprotocol', async (t) => {
    t.same(credentialOf({ authorization: 'Bearer abc' }), bearer('abc'))
    t.same(credentialOf({ authorization: 'bearer  abc ' }), bearer('abc'))
    t.same(credentialOf({ authorization: 'UserKey k:1' }), { scheme: 'UserKey', token: 'k:1' })
    const offer = `kubiya-audit.v1, kubiya-audit.bearer.${Buffer.from('a/b+c==').toString('base64url')}`
    t.same(credentialOf({ 'sec-websocket-protocol': offer }), bearer('a/b+c=='))
    t.same(
      credentialOf({ 'sec-websocket-protocol': `kubiya-audit.userkey.${Buffer.from('k').toString('base64url')}` }),
      { scheme: 'UserKey', token: 'k' }
    )
    t.equal(credentialOf({}), 'none')
    t.equal(credentialOf({ 'sec-websocket-protocol': 'kubiya-audit.v1' }), 'none')
  })

  t.test('with another scheme, in two places, or not in visible ASCII is unreadable', async (t) => {
    const offered = `kubiya-audit.bearer.${Buffer.from('abc').toString('base64url')}`
    for (
      const headers of [
        { authorization: 'Basic dTpw' },
        { authorization: 'Bearer' },
        { authorization: 'Bearer a b' },
        { authorization: '' },
        { authorization: 'Bearer é' },
        { authorization: 'Bearer abc', 'sec-websocket-protocol': offered },
        { 'sec-websocket-protocol': `${offered}, ${offered}` },
        { 'sec-websocket-protocol': `kubiya-audit.bearer.${Buffer.from('a\r\nb').toString('base64url')}` }
      ]
    ) t.equal(credentialOf(headers), 'unreadable', JSON.stringify(headers))
  })

  t.test('has a digest that differs by scheme and reveals nothing', async (t) => {
    t.not(digestOf(bearer(TOKEN)), digestOf({ scheme: 'UserKey', token: TOKEN }))
    t.notOk(digestOf(bearer(TOKEN)).includes(TOKEN))
  })
})

t.test('static tokens', async (t) => {
  t.test('are read again: a removed token is revoked, and a failed read keeps the last tokens', async (t) => {
    const clock = createManualClock()
    let read = () => [TOKEN, `${TOKEN}-2`]
    const [revoked, errors]: [string[], unknown[]] = [[], []]
    const authenticator = createTokenAuth({
      read: () => read(),
      recheckMs: 5000,
      clock,
      onRevoked: (key) => revoked.push(key),
      onError: (error) => errors.push(error)
    })
    t.teardown(authenticator.close)
    const authenticate = (token: string) =>
      authenticator.authenticate(bearer(token), '') as { ok: boolean, caller?: { key: string } }
    const [first, second] = [authenticate(TOKEN), authenticate(`${TOKEN}-2`)]
    t.ok(first.ok && second.ok)
    t.not(first.caller?.key, second.caller?.key)
    t.notOk(JSON.stringify(first).includes(TOKEN))
    for (const wrong of [`${TOKEN}-3`, TOKEN.slice(1), `${TOKEN} `]) t.notOk(authenticate(wrong).ok, wrong)
    t.notOk((authenticator.authenticate({ scheme: 'UserKey', token: TOKEN }, '') as { ok: boolean }).ok)
    t.notOk((authenticator.authenticate('none', '') as { ok: boolean }).ok)

    read = () => { throw new Error('gone') }
    clock.advance(5000)
    t.equal(errors.length, 1)
    t.ok(authenticate(TOKEN).ok)
    read = () => [TOKEN]
    clock.advance(5000)
    t.same(revoked, [second.caller?.key])
    t.notOk(authenticate(`${TOKEN}-2`).ok)
    t.ok(authenticate(TOKEN).ok)
  })

  t.test('are separated by lines and commas, with comments', async (t) => {
    t.same(tokensIn('# all\nabc, def\n\n ghi # the last\nj#k'), ['abc', 'def', 'ghi', 'j#k'])
    t.same(['x'.repeat(15), 'x'.repeat(16), `${'x'.repeat(16)} `].map(isSoundToken), [false, true, false])
  })
})

t.test('the key of an address is the address, or the /64 network of IPv6, in any notation', async (t) => {
  t.equal(addressKey('192.0.2.7'), '192.0.2.7')
  t.equal(addressKey('::ffff:192.0.2.7'), '192.0.2.7')
  t.equal(addressKey('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  t.equal(addressKey('2001:0db8:0001:0002::9'), '2001:db8:1:2::/64')
  t.equal(addressKey('2001:db8::1'), '2001:db8:0:0::/64')
  t.equal(addressKey('fe80::1%eth0'), 'fe80:0:0:0::/64')
  t.equal(addressKey('::1'), '0:0:0:0::/64')
  t.equal(addressKey('64:ff9b::192.0.2.7'), '64:ff9b:0:0::/64')
})

t.test('origins are exact', async (t) => {
  const { allows } = createOrigins(['https://app.example.com', 'http://localhost:5173'])
  t.ok(allows(undefined) && allows('https://app.example.com') && allows('http://localhost:5173'))
  for (
    const other of [
      'null',
      '',
      'https://app.example.com.evil.io',
      'http://app.example.com',
      'https://app.example.com:444',
      'https://evil-app.example.com',
      'https://APP.example.com'
    ]
  ) t.notOk(allows(other), other)
  t.same(
    [
      'https://a.example',
      'https://a.example/',
      'a.example',
      'https://a.example:443',
      'https://A.example',
      '*',
      'null',
      'ftp://a'
    ].map(isOrigin),
    [true, ...Array(7).fill(false)]
  )
})

t.test('a ticket', async (t) => {
  t.test('replaces its credential once, for the origin that requested it', async (t) => {
    const tickets = createTickets(createManualClock())
    const issue = (origin?: string) => tickets.issue('me', bearer(TOKEN), origin) ?? ''
    const first = issue()
    t.same(tickets.redeem(first, undefined), bearer(TOKEN))
    t.equal(tickets.redeem(first, undefined), undefined, 'not twice')
    const page = issue('https://a.example')
    t.equal(tickets.redeem(page, 'https://b.example'), undefined)
    t.equal(tickets.redeem(page, 'https://a.example'), undefined, 'used up by the first try')
    t.equal(tickets.redeem(issue('https://a.example'), undefined), undefined)
    t.same(tickets.redeem(issue('https://a.example'), 'https://a.example'), bearer(TOKEN))
    t.equal(tickets.redeem('made-up', undefined), undefined)
  })

  t.test('expires after 30 seconds, and one caller has at most a hundred', async (t) => {
    const clock = createManualClock()
    const tickets = createTickets(clock)
    const all = Array.from({ length: 101 }, () => tickets.issue('me', 'none', undefined))
    t.same(all.map((each) => each === undefined), [...Array(100).fill(false), true])
    t.ok(tickets.issue('another', 'none', undefined))
    clock.advance(TICKET_MS - 1)
    t.equal(tickets.redeem(all[0] ?? '', undefined), 'none')
    clock.advance(1)
    t.equal(tickets.redeem(all[1] ?? '', undefined), undefined)
    t.ok(tickets.issue('me', 'none', undefined), 'those that are over do not count')
  })
})

t.test('a token bucket gives at most its capacity and the refill of the time that passed', async (t) => {
  holds(
    t,
    fc.property(
      fc.integer({ min: 1, max: 1000 }),
      fc.array(fc.tuple(fc.nat(20_000), fc.integer({ min: 1, max: 50 })), { maxLength: 100 }),
      (perMinute, steps) => {
        let nowMs = 0
        let taken = 0
        const bucket = createTokenBucket({ capacity: perMinute, refill: perMinute, spanMs: 60_000 })
        for (const [afterMs, wanted] of steps) {
          nowMs += afterMs
          if (waitForTokens(bucket, wanted, nowMs) > 0) continue
          takeTokens(bucket, wanted, nowMs)
          taken += wanted
        }
        return taken <= perMinute * (1 + nowMs / 60_000) + 1e-6
      }
    )
  )
})

t.test('rate limits', async (t) => {
  const off = { requests: 0, requestsOfAll: 0, events: 0 }
  t.test('apply to each caller (429) and to all (503), report what is left, and wait for debts', async (t) => {
    const clock = createManualClock()
    const limits = createRateLimits({ requests: 2, requestsOfAll: 3, events: 100, clock })
    t.same(limits.headers('a'), ['ratelimit-limit', '2', 'ratelimit-remaining', '2', 'ratelimit-reset', '0'])
    t.equal(limits.request('a'), undefined)
    t.equal(limits.request('a'), undefined)
    t.match(limits.request('a'), { code: 'rate-limited', retryAfterMs: 30_000 })
    t.same(limits.headers('a'), ['ratelimit-limit', '2', 'ratelimit-remaining', '0', 'ratelimit-reset', '60'])
    t.equal(limits.request('b'), undefined)
    t.match(limits.request('c'), { code: 'overloaded', retryAfterMs: 20_000 })
    clock.advance(60_000)
    const ahead = limits.reserve('a', 1000)
    if (!ahead.ok) return t.fail('a full limit admits any one question')
    t.match(limits.reserve('a', 1), { code: 'rate-limited', retryAfterMs: 600 }, 'and is then empty')
    ahead.read(150)
    ahead.end()
    ahead.end()
    t.match(limits.request('a'), { code: 'rate-limited', retryAfterMs: 30_000 })
    t.equal(limits.request('b'), undefined, 'another one\'s debt is not his')
    clock.advance(30_000)
    t.equal(limits.request('a'), undefined)
  })

  t.test('return reserved events that were not read', async (t) => {
    holds(
      t,
      fc.property(
        fc.integer({ min: 1, max: 3000 }),
        fc.array(fc.integer({ min: 0, max: 2000 }), { maxLength: 5 }),
        (ahead, reads) => {
          const limits = createRateLimits({
            ...off,
            events: 1000,
            clock: createManualClock()
          })
          const taken = limits.reserve('a', ahead)
          if (!taken.ok) return false
          for (const read of reads) taken.read(read)
          taken.end()
          const left = 1000 - reads.reduce((sum, each) => sum + each, 0)
          const first = left > 0 ? limits.reserve('a', left) : undefined
          const isExact = first === undefined || (first.ok && !limits.reserve('a', 1).ok)
          return isExact && (left >= 0 || limits.request('a') !== undefined)
        }
      ),
      { numRuns: 300 }
    )
  })

  t.test('of 0 send no headers and deny nothing', async (t) => {
    const limits = createRateLimits({ ...off, clock: createManualClock() })
    t.ok(limits.reserve('a', 1e12).ok)
    t.same([limits.headers('a'), limits.request('a')], [[], undefined])
  })
})

t.test('stream slots: per-caller and total limits, idempotent release, freed on revocation', async (t) => {
  const ended: string[] = []
  const slots = createStreamSlots<string>({ max: 3, maxPerCaller: 2, end: (stream) => ended.push(stream) })
  const take = (key: string) => {
    const slot = slots.take(key)
    if (typeof slot === 'string') throw new Error(slot)
    return slot
  }
  const [a, b] = [take('me'), take('me')]
  t.equal(slots.take('me'), 'none-of-its-own')
  const c = take('you')
  t.equal(slots.take('them'), 'none')
  a.release()
  a.release()
  t.equal(slots.size(), 2)
  b.occupy('b')
  c.occupy('c')
  const late = take('me')
  slots.revoke('me')
  t.same(ended, ['b'])
  late.occupy('late')
  t.same(ended, ['b', 'late'], 'one that begins after that ends at once')
  for (const slot of [b, c, late]) slot.release()
  t.equal(slots.size(), 0)
})

t.test('passthrough authentication', async (t) => {
  const clock = createManualClock()
  const setup = (words: Array<'accepted' | 'unauthorized' | 'forbidden'>) => {
    const [probed, revoked]: [string[], string[]] = [[], []]
    const options: PassthroughAuthOptions = {
      async probe ({ key }) {
        probed.push(key)
        return words.shift() ?? 'accepted'
      },
      recheckMs: 1000,
      graceMs: 0,
      authFailures: createAuthFailureLimit(clock),
      onRevoked: (key) => revoked.push(key),
      clock
    }
    const authenticator = createPassthroughAuth(options)
    return {
      authenticator,
      probed,
      revoked,
      authenticate: async (token: string) => authenticator.authenticate(bearer(token), '192.0.2.1')
    }
  }

  t.test('probes once for simultaneous requests, and any accepted request extends the acceptance', async (t) => {
    const { authenticate, authenticator, probed } = setup([])
    const verdicts = await Promise.all(Array.from({ length: 100 }, () => authenticate('a')))
    t.ok(verdicts.every(({ ok }) => ok))
    t.equal(probed.length, 1)
    clock.advance(999)
    authenticator.heard(probed[0] ?? '', 'accepted')
    clock.advance(999)
    await authenticate('a')
    t.equal(probed.length, 1)
    clock.advance(1)
    await authenticate('a')
    t.equal(probed.length, 2)
  })

  t.test('does not probe again within a minute of a refusal', async (t) => {
    const { authenticate, authenticator, probed, revoked } = setup(['unauthorized', 'forbidden'])
    t.match(await authenticate('a'), { ok: false, code: 'unauthorized' })
    t.match(await authenticate('a'), { ok: false, code: 'unauthorized' })
    t.match(await authenticate('b'), { ok: false, code: 'forbidden' })
    t.equal(probed.length, 2)
    t.same(revoked, probed)
    clock.advance(60_000)
    t.match(await authenticate('a'), { ok: true })
    authenticator.heard(probed[0] ?? '', 'unauthorized')
    t.match(await authenticate('a'), { ok: false, code: 'unauthorized' })
    t.equal(probed.length, 3)
  })

  t.test('limits the probes of one address, except those of good credentials', async (t) => {
    const { authenticate, probed } = setup([...Array(10).fill('accepted'), ...Array(1000).fill('unauthorized')])
    for (let n = 0; n < 100; n++) await authenticate(String(n))
    t.equal(probed.length, 40)
    t.match(await authenticate('another'), { ok: false, code: 'rate-limited' })
    t.match(await authenticate('3'), { ok: true }, 'who was accepted goes on')
  })
})

t.test('expiry timers warn subscribers a minute before their credential expires, and end them then', async (t) => {
  const startMs = 1_700_000_000_000
  const clock = createManualClock(startMs)
  const said: string[] = []
  const expiries = createExpiryTimers<string>({
    clock,
    warn: (members, atMs) =>
      said.push(`${[...members].join()} warned at ${(clock.now() - startMs) / 1000} of ${(atMs - startMs) / 1000}`),
    end: (members) =>
      [...members].forEach((member) => {
        expiries.delete(member)
        said.push(`${member} ended at ${(clock.now() - startMs) / 1000}`)
      })
  })
  const inSeconds = (seconds: number) => startMs + seconds * 1000
  expiries.add('a', inSeconds(100))
  expiries.add('b', inSeconds(100))
  expiries.add('gone', inSeconds(100))
  expiries.add('soon', inSeconds(10))
  expiries.add('far', inSeconds(30 * 86_400))
  expiries.delete('gone')
  clock.advance(200_000)
  t.same(said, [
    'soon warned at 0 of 10',
    'soon ended at 10',
    'a,b warned at 40 of 100',
    'a ended at 100',
    'b ended at 100'
  ])
  clock.advance(30 * 86_400_000)
  t.same(said.slice(5), [`far warned at ${30 * 86_400 - 60} of ${30 * 86_400}`, `far ended at ${30 * 86_400}`])
})

t.test('access settings report every fault by name', async (t) => {
  const faultsOf = (environment: Record<string, string>) => {
    const outcome = readSettings({ KUBIYA_API_KEY: 'k', ...environment })
    return outcome.ok ? [] : outcome.faults
  }
  const JWT = {
    AUTH_MODE: 'jwt',
    AUTH_JWKS_URL: 'https://id.example/keys',
    AUTH_ISSUER: 'https://id.example',
    AUTH_AUDIENCE: 'audit'
  }
  const file = t.testdir({ tokens: `# ours\n${TOKEN}\n`, empty: '\n', short: 'secret\n' })

  t.same(faultsOf({ AUTH_MODE: 'token', AUTH_TOKENS: `${TOKEN},${TOKEN}2`, HOST: '0.0.0.0' }), [])
  t.same(faultsOf({ AUTH_MODE: 'token', AUTH_TOKENS_FILE: `${file}/tokens` }), [])
  t.same(faultsOf(JWT), [])
  t.same(
    faultsOf({ AUTH_MODE: 'passthrough', NODE_ENV: 'production', KUBIYA_API_KEY: '', HOST: '::' }),
    [],
    'without a key'
  )
  t.same(
    faultsOf({ TRUST_PROXY: '10.0.0.0/8, 192.0.2.1', ALLOWED_ORIGINS: 'https://a.example, http://localhost:5173' }),
    []
  )
  const short = faultsOf({ AUTH_MODE: 'token', AUTH_TOKENS: 'secret' })
  t.match(short, [/^AUTH_TOKENS: /])
  t.notMatch(short.join(), 'secret')
  for (const [name, environment] of [
    ['AUTH_TOKENS', { AUTH_MODE: 'token' }],
    ['AUTH_TOKENS', { AUTH_TOKENS: TOKEN }],
    ['AUTH_TOKENS_FILE', { AUTH_MODE: 'token', AUTH_TOKENS_FILE: `${file}/nothing` }],
    ['AUTH_TOKENS_FILE', { AUTH_MODE: 'token', AUTH_TOKENS_FILE: `${file}/empty` }],
    ['AUTH_TOKENS_FILE', { AUTH_MODE: 'token', AUTH_TOKENS_FILE: `${file}/short` }],
    ['AUTH_ISSUER', { ...JWT, AUTH_ISSUER: '' }],
    ['AUTH_JWKS_URL', { ...JWT, AUTH_JWKS_URL: 'file:///etc/passwd' }],
    ['AUTH_AUDIENCE', { AUTH_AUDIENCE: 'audit' }],
    ['ALLOWED_ORIGINS', { ALLOWED_ORIGINS: '*' }],
    ['ALLOWED_ORIGINS', { ALLOWED_ORIGINS: 'https://a.example/' }],
    ['TRUST_PROXY', { TRUST_PROXY: 'everyone' }],
    ['HOST', { HOST: '0.0.0.0' }]
  ] as const) t.match(faultsOf(environment), [new RegExp(`^${name}: `)], JSON.stringify(environment))
})
