import type { Caller } from './access/caller.ts'
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
  /** The scope of a caller whom Kubiya is still to be asked about: not at work yet. */
  prepare (caller: Caller): Scope | undefined
  /** Ends a scope that was prepared for nothing. */
  abandon (key: Caller['key']): void
  /** Ends a caller's scope. */
  drop (key: Caller['key']): void
}

interface Entry {
  readonly scope: Scope
  usedMs: number
  isAtWork: boolean
}

const SWEEPS_PER_IDLE = 10
const BEST_FIRST: readonly UpstreamState[] = ['ok', 'throttled', 'degraded', 'unauthorized']

/** Each caller sees what its own credential shows. Made on first use, ended when idle; at the bound the one idle longest gives way. */
export function createOwnScopes ({ clock, create, idleMs, most, onError, requestMs }: OwnScopesOptions): OwnScopes {
  const entries = new Map<Caller['key'], Entry>() // Those used longest ago first.
  const ending = new Set<Promise<void>>()
  const startedMs = clock()
  const timer = setInterval(sweep, idleMs / SWEEPS_PER_IDLE).unref()
  let isDraining = false
  return { enter, prepare, abandon, drop, health, subscribers, holdings, start: () => {}, drain, close }

  function enter (caller: Caller): Scope | undefined {
    const entry = use(caller)
    if (entry !== undefined && !entry.isAtWork) {
      entry.isAtWork = true
      entry.scope.start()
    }
    return entry?.scope
  }

  function prepare (caller: Caller): Scope | undefined {
    return use(caller)?.scope
  }

  function use (caller: Caller): Entry | undefined {
    const known = entries.get(caller.key)
    if (known === undefined && (isDraining || (entries.size >= most && !giveWay()))) return undefined
    const entry = known ?? { scope: create(caller), usedMs: 0, isAtWork: false }
    entry.usedMs = clock()
    entries.delete(caller.key)
    entries.set(caller.key, entry)
    return entry
  }

  function abandon (key: Caller['key']): void {
    if (entries.get(key)?.isAtWork === false) drop(key)
  }

  function giveWay (): boolean {
    const [key] = [...entries].find(([, entry]) => isIdle(entry, requestMs)) ?? []
    if (key !== undefined) drop(key)
    return key !== undefined
  }

  function isIdle ({ scope, usedMs }: Entry, forMs: number): boolean {
    return scope.hub.size() === 0 && clock() - usedMs >= forMs
  }

  function sweep (): void {
    for (const [key, entry] of entries) {
      if (entry.scope.hub.size() > 0) entry.usedMs = clock()
      else if (isIdle(entry, Math.max(idleMs, requestMs))) drop(key)
    }
  }

  function drop (key: Caller['key']): void {
    const entry = entries.get(key)
    if (entry === undefined) return
    entries.delete(key)
    const ended = entry.scope.leave().catch(onError).finally(() => ending.delete(ended))
    ending.add(ended)
  }

  /** The best of them: one caller's refused credential says nothing about Kubiya. */
  function health (): Health {
    const all = [...entries.values()].filter(({ isAtWork }) => isAtWork).map(({ scope }) => scope.health())
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
