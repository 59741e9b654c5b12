import fc from 'fast-check'
import t from 'tap'
import { createAuthFailureLimit } from '../../src/access/auth-failure-limit.ts'
import { addressKey } from '../../src/access/client-address.ts'
import { holds } from '../contracts/property.ts'
import { createManualClock } from '../support/manual-clock.ts'

t.test('authentication failures', async (t) => {
  t.test('count from the start of a check, and not after a good one', async (t) => {
    const authFailures = createAuthFailureLimit(createManualClock())
    const begun = Array.from({ length: 256 }, () => authFailures.begin('192.0.2.1'))
    t.equal(begun.filter(({ ok }) => ok).length, 30)
    t.match(begun[30], { ok: false, code: 'rate-limited', detail: /from this address/ })
    for (const trial of begun) if (trial.ok) trial.end('not-failed')
    for (const trial of begun) if (trial.ok) trial.end('not-failed')
    t.equal(
      Array.from({ length: 256 }, () => authFailures.begin('192.0.2.1')).filter(({ ok }) => ok).length,
      30,
      'given back once'
    )
  })

  t.test('never exceed the limit within any minute', async (t) => {
    holds(t, fc.property(fc.array(fc.nat(5000), { maxLength: 150 }), (pauses) => {
      const clock = createManualClock()
      const authFailures = createAuthFailureLimit(clock)
      const begun = pauses.flatMap((pauseMs) => {
        clock.advance(pauseMs)
        return authFailures.begin('192.0.2.1').ok ? clock.now() : []
      })
      return begun.every((atMs) => begun.filter((each) => each >= atMs && each < atMs + 60_000).length <= 30)
    }))
  })

  t.test('of one network leave the limits of others, and the denial names whose limit it was', async (t) => {
    const authFailures = createAuthFailureLimit(createManualClock())
    const spend = (count: number, addressOf: (n: number) => string) =>
      Array.from({ length: count }, (_, n) => authFailures.begin(addressOf(n))).filter(({ ok }) => ok).length
    t.equal(spend(750, (n) => addressKey(`2001:db8:0:${(n % 25).toString(16)}::1`)), 60, 'a /59')
    t.match(authFailures.begin(addressKey('2001:db8:0:99::1')), { detail: /from this network/ })
    t.equal(
      spend(5000, (n) => addressKey(`2001:db8:0:${(n * 256 % 65_536).toString(16)}::1`)),
      60,
      'the rest of its /48'
    )
    t.ok(authFailures.begin(addressKey('2001:db8:1::1')).ok)
    t.equal(spend(500, (n) => `192.0.2.${n % 250}`), 60, 'a /24')
    t.equal(spend(5000, (n) => `192.0.${n % 250}.1`), 60, 'the rest of its /16')
    t.ok(authFailures.begin('198.51.100.1').ok)
  })

  t.test('of unproven addresses do not affect proven ones', async (t) => {
    const authFailures = createAuthFailureLimit(createManualClock())
    authFailures.prove('198.51.100.1')
    for (let n = 0; n < 2000; n++) authFailures.begin(`10.${n % 250}.${n >> 8}.1`)
    t.match(authFailures.begin('203.0.113.1'), { ok: false, code: 'overloaded', detail: /from all callers/ })
    t.ok(authFailures.begin('198.51.100.1').ok)
    for (let n = 0; n < 30; n++) authFailures.begin('198.51.100.1')
    t.match(authFailures.begin('198.51.100.1'), { detail: /from this address/ }, 'its own failures count')
  })
})
