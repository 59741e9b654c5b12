import type { Caller } from '../access/caller.ts'
import { CLOSE, type CloseReason } from '../live/transport/close-codes.ts'
import type { Health, UpstreamState } from '../live/ingest/upstream-health.ts'
import type { TenantUsage, Tenant } from './tenant.ts'

/** What callers may see: one tenant for all of them, or one for each. */
export interface Tenants {
  /** The tenant of an admitted caller, at work; `undefined`: there are as many as may be. */
  acquire (caller: Caller): Tenant | undefined
  health (): Health
  /** Live streams. */
  subscribers (): number
  /** What each tenant holds. */
  usage (): TenantUsage[]
  start (): void
  drain (): Promise<void>
  close (): Promise<void>
}

/** All callers see the same. */
export function createSharedTenant (tenant: Tenant): Tenants {
  return {
    acquire: () => tenant,
    health: tenant.health,
    subscribers: tenant.hub.size,
    usage: () => [tenant.usage()],
    start: tenant.start,
    drain: tenant.drain,
    close: tenant.close
  }
}

export interface OwnTenantsOptions {
  readonly create: (caller: Caller) => Tenant
  readonly most: number
  /** How long one is kept that nobody uses, milliseconds. */
  readonly idleMs: number
  /** How long a request takes at most, milliseconds: no tenant is taken from under it. */
  readonly requestMs: number
  readonly onError: (error: unknown) => void
  /** Milliseconds since 1970. */
  readonly clock: () => number
}

export interface OwnTenants extends Tenants {
  /** Ends the tenant of a caller whose credential is refused. */
  evict (key: Caller['key']): void
}

interface Entry {
  readonly tenant: Tenant
  /** Where the caller came from who had it made. */
  readonly address: string
  /** When it was asked for last. */
  askedMs: number
  /** When it was asked for last, or had a stream. */
  usedMs: number
}

const SWEEPS_PER_IDLE = 10
const SHARE = 1 / 4 // Of all tenants: what one address may have at the expense of others.
const BEST_FIRST: readonly UpstreamState[] = ['ok', 'throttled', 'degraded', 'unauthorized']

/**
 * Each caller sees what its own credential shows. Made on first use, ended when idle. An address may have all places
 * while they are free. At the bound an idle tenant of the address that has most gives way, then one in use of an
 * address that has more than its share; an address with its share already can only replace its own.
 */
export function createOwnTenants ({ clock, create, idleMs, most, onError, requestMs }: OwnTenantsOptions): OwnTenants {
  const entries = new Map<Caller['key'], Entry>() // Those used longest ago first.
  const ending = new Set<Promise<void>>()
  const startedMs = clock()
  const timer = setInterval(sweep, idleMs / SWEEPS_PER_IDLE).unref()
  let isDraining = false
  const share = Math.max(1, Math.floor(most * SHARE))
  return {
    acquire,
    evict: (key) => drop(key, CLOSE.unauthorized),
    health,
    subscribers,
    usage,
    start: () => {},
    drain,
    close
  }

  function acquire (caller: Caller): Tenant | undefined {
    const address = caller.address ?? ''
    const known = entries.get(caller.key)
    if (known === undefined && (isDraining || (entries.size >= most && !makeRoom(address)))) return undefined
    const entry = known ?? { tenant: create(caller), address, askedMs: 0, usedMs: 0 }
    entry.askedMs = clock()
    entry.usedMs = entry.askedMs
    entries.delete(caller.key)
    entries.set(caller.key, entry)
    if (known === undefined) entry.tenant.start()
    return entry.tenant
  }

  /** Ends one tenant for a caller from this address, where one may be ended. */
  function makeRoom (address: string): boolean {
    const counts = countByAddress()
    const isModest = (counts.get(address) ?? 0) < share
    let chosen: { key: Caller['key'], isBusy: boolean, count: number } | undefined
    for (const [key, entry] of entries) { // Of equals the one used longest ago comes first.
      if (clock() - entry.askedMs < requestMs) continue // A request may be under way.
      const count = counts.get(entry.address) ?? 0
      const isBusy = entry.tenant.hub.size() > 0
      if (isModest ? isBusy && count <= share : isBusy || entry.address !== address) continue
      if (
        chosen === undefined || (chosen.isBusy && !isBusy) || (chosen.isBusy === isBusy && count > chosen.count)
      ) { chosen = { key, isBusy, count } }
    }
    if (chosen === undefined) return false
    drop(chosen.key, CLOSE['max-age'])
    return true
  }

  function countByAddress (): Map<string, number> {
    const counts = new Map<string, number>()
    for (const { address } of entries.values()) counts.set(address, (counts.get(address) ?? 0) + 1)
    return counts
  }

  function sweep (): void {
    for (const [key, entry] of entries) {
      if (entry.tenant.hub.size() > 0) entry.usedMs = clock()
      else if (clock() - entry.usedMs >= Math.max(idleMs, requestMs)) drop(key, CLOSE['max-age'])
    }
  }

  function drop (key: Caller['key'], as: CloseReason): void {
    const entry = entries.get(key)
    if (entry === undefined) return
    entries.delete(key)
    const ended = entry.tenant.shutdownNow(as).catch(onError).finally(() => ending.delete(ended))
    ending.add(ended)
  }

  /** The best of them: one caller's refused credential says nothing about Kubiya. */
  function health (): Health {
    const all = [...entries.values()].map(({ tenant }) => tenant.health())
    const [best] = all.sort((a, b) =>
      BEST_FIRST.indexOf(a.upstream) - BEST_FIRST.indexOf(b.upstream) || a.lagMs - b.lagMs
    )
    return {
      upstream: 'ok',
      sinceMs: startedMs,
      lastGoodMs: undefined,
      lagMs: 0,
      latenessMs: undefined,
      fullReads: 0,
      isPolling: true,
      ...best,
      attempted: true
    }
  }

  function subscribers (): number {
    return [...entries.values()].reduce((sum, { tenant }) => sum + tenant.hub.size(), 0)
  }

  function usage (): TenantUsage[] {
    return [...entries.values()].map(({ tenant }) => tenant.usage())
  }

  async function drain (): Promise<void> {
    clearInterval(timer)
    isDraining = true
    await Promise.all([...entries.values()].map(({ tenant }) => tenant.drain()))
  }

  async function close (): Promise<void> {
    await Promise.all([...[...entries.values()].map(({ tenant }) => tenant.close()), ...ending])
  }
}
