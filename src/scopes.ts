import type { Caller } from './access/caller.ts'
import { ENDINGS, type Ending } from './live/endings.ts'
import type { Health, UpstreamState } from './live/health.ts'
import type { Holdings, Scope } from './scope.ts'

/** What callers may see: one scope for all of them, or one for each. */
export interface Scopes {
  /** The scope of an admitted caller, at work; `undefined`: there are as many as may be. */
  enter (caller: Caller): Scope | undefined
  health (): Health
  /** Live streams. */
  subscribers (): number
  /** What each scope holds. */
  holdings (): Holdings[]
  start (): void
  drain (): Promise<void>
  close (): Promise<void>
}

/** All callers see the same. */
export function createSharedScope (scope: Scope): Scopes {
  return { enter: () => scope, health: scope.health, subscribers: scope.hub.size, holdings: () => [scope.holdings()], start: scope.start, drain: scope.drain, close: scope.close }
}

export interface OwnScopesOptions {
  readonly create: (caller: Caller) => Scope
  readonly most: number
  /** How long one is kept that nobody uses, milliseconds. */
  readonly idleMs: number
  /** How long a request takes at most, milliseconds: no scope is taken from under it. */
  readonly requestMs: number
  readonly onError: (error: unknown) => void
  /** Milliseconds since 1970. */
  readonly clock: () => number
}

export interface OwnScopes extends Scopes {
  /** Ends the scope of a caller whose credential is refused. */
  drop (key: Caller['key']): void
}

interface Entry {
  readonly scope: Scope
  /** Where the caller came from who had it made. */
  readonly address: string
  /** When it was asked for last. */
  askedMs: number
  /** When it was asked for last, or had a stream. */
  usedMs: number
}

const SWEEPS_PER_IDLE = 10
const SHARE = 1 / 4 // Of all scopes: what one address may have at the expense of others.
const BEST_FIRST: readonly UpstreamState[] = ['ok', 'throttled', 'degraded', 'unauthorized']

/**
 * Each caller sees what its own credential shows. Made on first use, ended when idle. An address may have all places while
 * they are free. At the bound an idle scope of the address that has most gives way, then one in use of an address that has
 * more than its share; an address with its share already can only replace its own.
 */
export function createOwnScopes ({ clock, create, idleMs, most, onError, requestMs }: OwnScopesOptions): OwnScopes {
  const entries = new Map<Caller['key'], Entry>() // Those used longest ago first.
  const ending = new Set<Promise<void>>()
  const startedMs = clock()
  const timer = setInterval(sweep, idleMs / SWEEPS_PER_IDLE).unref()
  let isDraining = false
  const share = Math.max(1, Math.floor(most * SHARE))
  return { enter, drop: (key) => drop(key, ENDINGS.unauthorized), health, subscribers, holdings, start: () => {}, drain, close }

  function enter (caller: Caller): Scope | undefined {
    const address = caller.address ?? ''
    const known = entries.get(caller.key)
    if (known === undefined && (isDraining || (entries.size >= most && !makeRoom(address)))) return undefined
    const entry = known ?? { scope: create(caller), address, askedMs: 0, usedMs: 0 }
    entry.askedMs = clock()
    entry.usedMs = entry.askedMs
    entries.delete(caller.key)
    entries.set(caller.key, entry)
    if (known === undefined) entry.scope.start()
    return entry.scope
  }

  /** Ends one scope for a caller from this address, where one may be ended. */
  function makeRoom (address: string): boolean {
    const counts = countByAddress()
    const isModest = (counts.get(address) ?? 0) < share
    let chosen: { key: Caller['key'], isBusy: boolean, count: number } | undefined
    for (const [key, entry] of entries) { // Of equals the one used longest ago comes first.
      if (clock() - entry.askedMs < requestMs) continue // A request may be under way.
      const count = counts.get(entry.address) ?? 0
      const isBusy = entry.scope.hub.size() > 0
      if (isModest ? isBusy && count <= share : isBusy || entry.address !== address) continue
      if (chosen === undefined || (chosen.isBusy && !isBusy) || (chosen.isBusy === isBusy && count > chosen.count)) chosen = { key, isBusy, count }
    }
    if (chosen === undefined) return false
    drop(chosen.key, ENDINGS['max-age'])
    return true
  }

  function countByAddress (): Map<string, number> {
    const counts = new Map<string, number>()
    for (const { address } of entries.values()) counts.set(address, (counts.get(address) ?? 0) + 1)
    return counts
  }

  function sweep (): void {
    for (const [key, entry] of entries) {
      if (entry.scope.hub.size() > 0) entry.usedMs = clock()
      else if (clock() - entry.usedMs >= Math.max(idleMs, requestMs)) drop(key, ENDINGS['max-age'])
    }
  }

  function drop (key: Caller['key'], as: Ending): void {
    const entry = entries.get(key)
    if (entry === undefined) return
    entries.delete(key)
    const ended = entry.scope.leave(as).catch(onError).finally(() => ending.delete(ended))
    ending.add(ended)
  }

  /** The best of them: one caller's refused credential says nothing about Kubiya. */
  function health (): Health {
    const all = [...entries.values()].map(({ scope }) => scope.health())
    const [best] = all.sort((a, b) => BEST_FIRST.indexOf(a.upstream) - BEST_FIRST.indexOf(b.upstream) || a.lagMs - b.lagMs)
    return { upstream: 'ok', sinceMs: startedMs, lastGoodMs: undefined, lagMs: 0, latenessMs: undefined, sweeps: 0, isTrying: true, ...best, attempted: true }
  }

  function subscribers (): number {
    return [...entries.values()].reduce((sum, { scope }) => sum + scope.hub.size(), 0)
  }

  function holdings (): Holdings[] {
    return [...entries.values()].map(({ scope }) => scope.holdings())
  }

  async function drain (): Promise<void> {
    clearInterval(timer)
    isDraining = true
    await Promise.all([...entries.values()].map(({ scope }) => scope.drain()))
  }

  async function close (): Promise<void> {
    await Promise.all([...[...entries.values()].map(({ scope }) => scope.close()), ...ending])
  }
}
