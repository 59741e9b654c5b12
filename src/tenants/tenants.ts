import type { Caller } from '../access/caller.ts'
import { repeat, type Clock } from '../clock.ts'
import { CLOSE, type CloseReason } from '../live/transport/close-codes.ts'
import type { Health, UpstreamState } from '../live/ingest/upstream-health.ts'
import type { TenantUsage, Tenant } from './tenant.ts'

/** What callers may see: one tenant for all of them, or one for each. */
export interface Tenants {
  /** The tenant of an authenticated caller, started. `undefined`: the maximum number of tenants is active. */
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

/** All callers share one tenant. */
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
  readonly max: number
  /** How long an unused tenant is kept, milliseconds. */
  readonly idleMs: number
  /** The longest duration of a request, milliseconds: no tenant ends during a request. */
  readonly requestMs: number
  readonly onError: (error: unknown) => void
  readonly clock: Clock
}

export interface OwnTenants extends Tenants {
  /** Ends the tenant of a caller whose credential was refused. */
  evict (key: Caller['key']): void
}

interface Entry {
  readonly tenant: Tenant
  /** The address of the caller for whom the tenant was created. */
  readonly address: string
  /** When the caller last sent a request. */
  askedMs: number
  /** When the caller last sent a request, or had a stream or an export. */
  usedMs: number
}

/** A tenant that may end for another one. */
interface Candidate {
  readonly key: Caller['key']
  /** Whether it has streams or exports. */
  readonly isBusy: boolean
  /** The tenants of its address. */
  readonly count: number
}

const SWEEPS_PER_IDLE = 10
const SHARE = 1 / 4 // The part of all tenants that one address may hold at the expense of others.
const BEST_FIRST: readonly UpstreamState[] = ['ok', 'throttled', 'degraded', 'unauthorized']

/**
 * Each caller sees what its own credential shows. A tenant starts with the first request and ends when it is idle. One
 * address may hold all tenants while there is room. At the maximum, an idle tenant of the address with most tenants
 * ends first, then a busy one of an address beyond its share. An address that holds its share can replace only its own.
 */
export function createOwnTenants ({ clock, create, idleMs, max, onError, requestMs }: OwnTenantsOptions): OwnTenants {
  const entries = new Map<Caller['key'], Entry>() // The entry that was unused for longest comes first.
  const ending = new Set<Promise<void>>()
  const startedMs = clock.now()
  const stopSweeps = repeat(clock, sweep, idleMs / SWEEPS_PER_IDLE)
  let isDraining = false
  const share = Math.max(1, Math.floor(max * SHARE))
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
    if (known === undefined && (isDraining || (entries.size >= max && !makeRoom(address)))) return undefined
    const entry = known ?? { tenant: create(caller), address, askedMs: 0, usedMs: 0 }
    entry.askedMs = clock.now()
    entry.usedMs = entry.askedMs
    entries.delete(caller.key)
    entries.set(caller.key, entry)
    if (known === undefined) entry.tenant.start()
    return entry.tenant
  }

  /** Ends one tenant for a caller from this address, where one may end. */
  function makeRoom (address: string): boolean {
    const chosen = candidatesFor(address).reduce<Candidate | undefined>(
      (best, each) => best === undefined || isBetterVictim(each, best) ? each : best,
      undefined
    )
    if (chosen !== undefined) drop(chosen.key, CLOSE['max-age'])
    return chosen !== undefined
  }

  /** The tenants that may end for this address, in the order of their last use. */
  function candidatesFor (address: string): Candidate[] {
    const counts = countByAddress()
    const isBelowShare = (counts.get(address) ?? 0) < share
    return [...entries].flatMap(([key, entry]) => {
      if (clock.now() - entry.askedMs < requestMs) return [] // A request may be in progress.
      const count = counts.get(entry.address) ?? 0
      const isBusy = isUsed(entry.tenant)
      const mayEnd = isBelowShare ? !isBusy || count > share : !isBusy && entry.address === address
      return mayEnd ? [{ key, isBusy, count }] : []
    })
  }

  function countByAddress (): Map<string, number> {
    const counts = new Map<string, number>()
    for (const { address } of entries.values()) counts.set(address, (counts.get(address) ?? 0) + 1)
    return counts
  }

  function sweep (): void {
    for (const [key, entry] of entries) {
      if (isUsed(entry.tenant)) entry.usedMs = clock.now()
      else if (clock.now() - entry.usedMs >= Math.max(idleMs, requestMs)) drop(key, CLOSE['max-age'])
    }
  }

  function drop (key: Caller['key'], reason: CloseReason): void {
    const entry = entries.get(key)
    if (entry === undefined) return
    entries.delete(key)
    const ended = entry.tenant.shutdownNow(reason).catch(onError).finally(() => ending.delete(ended))
    ending.add(ended)
  }

  /** The best of all: the refused credential of one caller says nothing about Kubiya. */
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
    stopSweeps()
    isDraining = true
    await Promise.all([...entries.values()].map(({ tenant }) => tenant.drain()))
  }

  async function close (): Promise<void> {
    await Promise.all([...[...entries.values()].map(({ tenant }) => tenant.close()), ...ending])
  }
}

/** An idle tenant ends before a busy one; of two, the one whose address has more. Of equals, the first one stays. */
function isBetterVictim (each: Candidate, best: Candidate): boolean {
  return each.isBusy === best.isBusy ? each.count > best.count : best.isBusy
}

function isUsed ({ exports, hub }: Tenant): boolean {
  return hub.size() + exports.size() > 0
}
