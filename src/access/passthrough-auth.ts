import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import {
  BUSY,
  FORBIDDEN,
  UNAUTHORIZED,
  digestOf,
  type AuthResult,
  type Authenticator,
  type Caller,
  type Credential,
  type Denied,
  type OnRevoked
} from './caller.ts'
import { USUAL_LIMITS, createCheckQueue } from './check-queue.ts'
import type { AuthFailureLimit } from './auth-failure-limit.ts'

export interface PassthroughAuthOptions {
  /** Asks Kubiya whether it accepts this caller's credential. A denial: Kubiya could not be asked. */
  readonly probe: (caller: Caller) => Promise<'accepted' | 'unauthorized' | 'forbidden' | Denied>
  /** How long an acceptance is valid, milliseconds. */
  readonly recheckMs: number
  /** How much longer it is valid while Kubiya cannot be asked, milliseconds. */
  readonly graceMs: number
  readonly authFailures: AuthFailureLimit
  /** Called when Kubiya refuses a caller. */
  readonly onRevoked: OnRevoked
  readonly clock: Pick<Clock, 'monotonicMs' | 'setTimer'>
}

export interface PassthroughAuth extends Authenticator {
  /** Reports Kubiya's verdict on a caller's credential, from any request. */
  heard (key: Caller['key'], verdict: 'accepted' | 'unauthorized'): void
}

const REFUSAL_MS = 60_000
const MAX_HOLD_MS = 5000 // While Kubiya cannot be asked, a caller's credential is probed once in this time.
const MAX_CALLERS = 10_000

interface Acceptance {
  /** When Kubiya last accepted the credential. */
  readonly atMs: number
  /** Kubiya is not asked again before this time, because it could not be asked. */
  heldUntilMs: number
}

/**
 * Authenticates with Kubiya's own verdict. A credential is valid for `recheckMs` after any request that Kubiya
 * accepted. While Kubiya cannot be asked, a credential that was accepted before is valid for `graceMs` more. A refusal
 * is valid for a minute.
 */
export function createPassthroughAuth (options: PassthroughAuthOptions): PassthroughAuth {
  const { authFailures, clock: { monotonicMs: nowMs }, graceMs, onRevoked, probe, recheckMs } = options
  const accepted = new LRUCache<string, Acceptance>({ max: MAX_CALLERS })
  const refused = new LRUCache<string, { readonly atMs: number, readonly refusal: Denied }>({ max: MAX_CALLERS })
  const pending = new Map<string, Promise<AuthResult>>()
  const probes = createCheckQueue(USUAL_LIMITS, options.clock)
  return { authenticate, heard, close: () => {} }

  function authenticate (credential: Credential | 'none', address: string): AuthResult | Promise<AuthResult> {
    if (credential === 'none') return UNAUTHORIZED
    const caller: Caller = {
      key: `kubiya:${digestOf(credential)}`,
      authorization: `${credential.scheme} ${credential.token}`,
      address
    }
    const before = accepted.get(caller.key)
    if (before !== undefined && nowMs() - before.atMs < recheckMs) return { ok: true, caller }
    const refusal = refusalOf(caller.key)
    if (refusal !== undefined) return refusal
    const held = before !== undefined && nowMs() < before.heldUntilMs ? unchecked(caller) : undefined
    if (held !== undefined) return held
    const known = pending.get(caller.key)
    if (known !== undefined) return known
    const check = queueCheck(caller, address).finally(() => pending.delete(caller.key))
    pending.set(caller.key, check)
    return check
  }

  async function queueCheck (caller: Caller, address: string): Promise<AuthResult> {
    const wasAccepted = accepted.has(caller.key) // A credential that was accepted before is no trial.
    const result = await probes.run(
      address,
      wasAccepted || authFailures.isProven(address),
      () => wasAccepted ? check(caller, address) : checkAsTrial(caller, address)
    )
    return result === 'busy' ? unchecked(caller) ?? BUSY : result
  }

  async function checkAsTrial (caller: Caller, address: string): Promise<AuthResult> {
    const trial = authFailures.begin(address)
    if (!trial.ok) return trial
    const result = await check(caller, address).catch((error: unknown) => {
      trial.end('not-failed')
      throw error
    })
    trial.end(!result.ok && (result === UNAUTHORIZED || result === FORBIDDEN) ? 'failed' : 'not-failed')
    return result
  }

  async function check (caller: Caller, address: string): Promise<AuthResult> {
    const earlier = refusalOf(caller.key)
    if (earlier !== undefined) return earlier // The refusal came while this check waited in the queue.
    const startedMs = nowMs()
    const verdict = await probe(caller)
    if (typeof verdict === 'object') return unchecked(caller) ?? verdict
    if (verdict !== 'accepted') {
      const refusal = verdict === 'forbidden' ? FORBIDDEN : UNAUTHORIZED
      refuse(caller.key, refusal)
      return refusal
    }
    const later = refused.get(caller.key)
    if (later !== undefined && later.atMs >= startedMs) return later.refusal // The refusal overtook this answer.
    heard(caller.key, verdict)
    authFailures.prove(address)
    return { ok: true, caller }
  }

  /** Admits a caller within the grace time, and holds back the next probe for a moment. */
  function unchecked (caller: Caller): AuthResult | undefined {
    const before = accepted.get(caller.key)
    if (before === undefined) return undefined
    const ageMs = nowMs() - before.atMs
    if (ageMs < recheckMs) return { ok: true, caller } // Kubiya accepted another request in the meantime.
    if (ageMs >= recheckMs + graceMs) return undefined
    if (nowMs() >= before.heldUntilMs) before.heldUntilMs = nowMs() + Math.min(recheckMs, MAX_HOLD_MS)
    return { ok: true, caller: { ...caller, isUnchecked: true } }
  }

  function refusalOf (key: Caller['key']): Denied | undefined {
    const before = refused.get(key)
    return before !== undefined && nowMs() - before.atMs < REFUSAL_MS ? before.refusal : undefined
  }

  function heard (key: Caller['key'], verdict: 'accepted' | 'unauthorized'): void {
    if (verdict === 'unauthorized') return refuse(key, UNAUTHORIZED)
    accepted.set(key, { atMs: nowMs(), heldUntilMs: 0 })
    refused.delete(key)
  }

  function refuse (key: Caller['key'], refusal: Denied): void {
    accepted.delete(key)
    refused.set(key, { atMs: nowMs(), refusal })
    onRevoked(key)
  }
}
