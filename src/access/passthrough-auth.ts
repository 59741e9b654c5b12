import { LRUCache } from 'lru-cache'
import { FORBIDDEN, UNAUTHORIZED, type Caller, type Denied, type AuthResult } from './caller.ts'
import { digestOf, type Credential } from './credential.ts'
import type { Authenticator, OnRevoked } from './authenticator.ts'
import { createCheckQueue, type CheckQueueOptions } from './check-queue.ts'
import type { AuthFailureLimit } from './auth-failure-limit.ts'

export interface PassthroughAuthOptions {
  /** Asks Kubiya as this caller. */
  readonly probe: (caller: Caller) => Promise<'accepted' | 'unauthorized' | 'forbidden' | Denied>
  /** For how long Kubiya's word holds, milliseconds. */
  readonly recheckMs: number
  /** For how much longer it holds while Kubiya cannot be asked, milliseconds. */
  readonly graceMs: number
  readonly authFailures: AuthFailureLimit
  /** Told of a caller whom Kubiya refuses. */
  readonly onRevoked: OnRevoked
  /** Monotonic clock, milliseconds. */
  readonly nowMs: () => number
}

export interface PassthroughAuth extends Authenticator {
  /** What Kubiya said to any call of this caller. */
  heard (key: Caller['key'], word: 'accepted' | 'unauthorized'): void
}

const REFUSED_MS = 60_000
const LONGEST_HOLD_MS = 5000 // While Kubiya cannot be asked, one caller's credential is tried that often.
const MOST_KNOWN = 10_000
const BUSY: Denied = {
  ok: false,
  code: 'overloaded',
  detail: 'Too many credentials are being verified.',
  retryAfterMs: 1000
}
const PROBES: CheckQueueOptions = {
  mostUnderWay: 64,
  mostUnproven: 48,
  mostPerAddress: 8,
  mostWaitingPerAddress: 256,
  mostWaiting: 4096,
  patienceMs: 5000
}

interface Acceptance {
  /** When Kubiya accepted the credential last. */
  readonly atMs: number
  /** Until when Kubiya is not asked again because it could not be asked. */
  heldUntilMs: number
}

/**
 * Admits by Kubiya's own word: a credential is good as long as Kubiya accepted it within `recheckMs`, whatever it was
 * asked. While Kubiya cannot be asked, a credential that it accepted before stays good for `graceMs` more. One that it
 * refused is not asked about for a minute.
 */
export function createPassthroughAuth (options: PassthroughAuthOptions): PassthroughAuth {
  const { graceMs, nowMs, onRevoked, probe, recheckMs, authFailures } = options
  const accepted = new LRUCache<string, Acceptance>({ max: MOST_KNOWN })
  const refused = new LRUCache<string, { readonly atMs: number, readonly refusal: Denied }>({ max: MOST_KNOWN })
  const probes = new Map<string, Promise<AuthResult>>()
  const line = createCheckQueue(PROBES)
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
    const underWay = probes.get(caller.key)
    if (underWay !== undefined) return underWay
    const asking = ask(caller, address).finally(() => probes.delete(caller.key))
    probes.set(caller.key, asking)
    return asking
  }

  async function ask (caller: Caller, address: string): Promise<AuthResult> {
    const isKnown = accepted.has(caller.key) // One that was accepted before is no trial.
    const verdict = await line.run(
      address,
      isKnown || authFailures.isProven(address),
      () => isKnown ? asked(caller, address) : tried(caller, address)
    )
    return verdict === 'busy' ? unchecked(caller) ?? BUSY : verdict
  }

  async function tried (caller: Caller, address: string): Promise<AuthResult> {
    const trial = authFailures.begin(address)
    if (!trial.ok) return trial
    const verdict = await asked(caller, address).catch((error: unknown) => {
      trial.end('given-back')
      throw error
    })
    trial.end(!verdict.ok && (verdict === UNAUTHORIZED || verdict === FORBIDDEN) ? 'failed' : 'given-back')
    return verdict
  }

  async function asked (caller: Caller, address: string): Promise<AuthResult> {
    const earlier = refusalOf(caller.key)
    if (earlier !== undefined) return earlier // Said while this waited for its turn.
    const beganMs = nowMs()
    const word = await probe(caller)
    if (typeof word === 'object') return unchecked(caller) ?? word
    if (word !== 'accepted') {
      const refusal = word === 'forbidden' ? FORBIDDEN : UNAUTHORIZED
      refuse(caller.key, refusal)
      return refusal
    }
    const later = refused.get(caller.key)
    if (later !== undefined && later.atMs >= beganMs) return later.refusal // Said while this answer was under way.
    heard(caller.key, word)
    authFailures.prove(address)
    return { ok: true, caller }
  }

  /** Lets in a caller whom Kubiya accepted not too long ago, and asks no more for a moment. */
  function unchecked (caller: Caller): AuthResult | undefined {
    const before = accepted.get(caller.key)
    if (before === undefined) return undefined
    const sinceMs = nowMs() - before.atMs
    if (sinceMs < recheckMs) return { ok: true, caller } // Some other call was accepted meanwhile.
    if (sinceMs >= recheckMs + graceMs) return undefined
    if (nowMs() >= before.heldUntilMs) before.heldUntilMs = nowMs() + Math.min(recheckMs, LONGEST_HOLD_MS)
    return { ok: true, caller: { ...caller, isUnchecked: true } }
  }

  function refusalOf (key: Caller['key']): Denied | undefined {
    const before = refused.get(key)
    return before !== undefined && nowMs() - before.atMs < REFUSED_MS ? before.refusal : undefined
  }

  function heard (key: Caller['key'], word: 'accepted' | 'unauthorized'): void {
    if (word === 'unauthorized') return refuse(key, UNAUTHORIZED)
    accepted.set(key, { atMs: nowMs(), heldUntilMs: 0 })
    refused.delete(key)
  }

  function refuse (key: Caller['key'], refusal: Denied): void {
    accepted.delete(key)
    refused.set(key, { atMs: nowMs(), refusal })
    onRevoked(key)
  }
}
