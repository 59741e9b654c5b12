import { LRUCache } from 'lru-cache'
import { FORBIDDEN, UNAUTHORIZED, type Caller, type Refusal, type Verdict } from './caller.ts'
import { digestOf, type Credential } from './credential.ts'
import type { Gate, OnRevoked } from './gate.ts'
import type { Trials } from './trials.ts'

export interface PassthroughGateOptions {
  /** Asks Kubiya as this caller. */
  readonly probe: (caller: Caller) => Promise<'accepted' | 'unauthorized' | 'forbidden' | Refusal>
  /** For how long Kubiya's word holds, milliseconds. */
  readonly recheckMs: number
  readonly trials: Trials
  /** Told of a caller whom Kubiya refuses. */
  readonly onRevoked: OnRevoked
  /** Monotonic clock, milliseconds. */
  readonly nowMs: () => number
}

export interface PassthroughGate extends Gate {
  /** What Kubiya said to any call of this caller. */
  heard (key: Caller['key'], word: 'accepted' | 'unauthorized'): void
}

const REFUSED_MS = 60_000
const MOST_KNOWN = 10_000
const MOST_AT_ONCE = 256
const BUSY: Refusal = { ok: false, code: 'overloaded', detail: 'Too many credentials are being checked.', retryAfterMs: 1000 }

/**
 * Admits by Kubiya's own word: a credential is good as long as Kubiya accepted it within `recheckMs`, whatever it was asked.
 * One that it refused is not asked about for a minute.
 */
export function createPassthroughGate ({ nowMs, onRevoked, probe, recheckMs, trials }: PassthroughGateOptions): PassthroughGate {
  const accepted = new LRUCache<string, number>({ max: MOST_KNOWN }) // When, last.
  const refused = new LRUCache<string, { readonly atMs: number, readonly refusal: Refusal }>({ max: MOST_KNOWN })
  const probes = new Map<string, Promise<Verdict>>()
  return { admit, heard, close: () => {} }

  function admit (credential: Credential | 'none', address: string): Verdict | Promise<Verdict> {
    if (credential === 'none') return UNAUTHORIZED
    const caller: Caller = { key: `kubiya:${digestOf(credential)}`, authorization: `${credential.scheme} ${credential.token}` }
    const atMs = accepted.get(caller.key)
    if (atMs !== undefined && nowMs() - atMs < recheckMs) return { ok: true, caller }
    const before = refused.get(caller.key)
    if (before !== undefined && nowMs() - before.atMs < REFUSED_MS) return before.refusal
    const underWay = probes.get(caller.key)
    if (underWay !== undefined) return underWay
    if (probes.size >= MOST_AT_ONCE) return BUSY
    const stop = atMs === undefined ? trials.stop(address) : undefined // One that was accepted before is no trial.
    if (stop !== undefined) return stop
    const asking = ask(caller, address).finally(() => probes.delete(caller.key))
    probes.set(caller.key, asking)
    return asking
  }

  async function ask (caller: Caller, address: string): Promise<Verdict> {
    const word = await probe(caller)
    if (typeof word === 'object') return word
    if (word === 'accepted') {
      heard(caller.key, word)
      return { ok: true, caller }
    }
    trials.failed(address)
    const refusal = word === 'forbidden' ? FORBIDDEN : UNAUTHORIZED
    refuse(caller.key, refusal)
    return refusal
  }

  function heard (key: Caller['key'], word: 'accepted' | 'unauthorized'): void {
    if (word === 'unauthorized') return refuse(key, UNAUTHORIZED)
    accepted.set(key, nowMs())
    refused.delete(key)
  }

  function refuse (key: Caller['key'], refusal: Refusal): void {
    accepted.delete(key)
    refused.set(key, { atMs: nowMs(), refusal })
    onRevoked(key)
  }
}
