import { LRUCache } from 'lru-cache'
import type { Caller } from '../access/caller.ts'
import type { Failure } from '../audit/source.ts'
import type { Clock } from '../clock.ts'
import { createHttpAgent } from '../kubiya/http-agent.ts'
import type { RequestBudget } from '../kubiya/request-budget.ts'
import { createKubiyaClient } from '../kubiya/client.ts'
import type { Instruments } from '../instruments.ts'
import type { Settings } from '../settings.ts'
import type { Tracer } from '../tracer.ts'
import { clientOptions, createUpstreamBudget, type Upstream } from './upstream.ts'

export interface CredentialProbeOptions {
  readonly settings: Settings
  readonly upstream: Upstream
  readonly clock: Clock
  readonly instruments: Instruments
  readonly tracer: Tracer
  readonly version: string
}

/** Asks Kubiya about credentials that have no tenant yet, over connections of its own. */
export interface CredentialProbe {
  /** Requests one event as this caller, to learn whether Kubiya accepts the credential. */
  probe (caller: Caller): Promise<'ok' | Failure>
  /** The request budget of an accepted credential. It outlives the caller's tenants. */
  budgetOf (key: Caller['key']): RequestBudget
  close (): Promise<void>
}

const CONNECTIONS = 64 // As many as there are probes at a time.
const MAX_CONNECT_MS = 5000
const MAX_BUDGETS = 10_000 // The budget that was unused for longest is dropped first.

export function createCredentialProbe (
  { clock, instruments, settings, tracer, upstream, version }: CredentialProbeOptions
): CredentialProbe {
  const agent = createHttpAgent({
    connections: CONNECTIONS,
    connect: { timeout: Math.min(settings.UPSTREAM_TIMEOUT_MS, MAX_CONNECT_MS) }
  })
  const budgets = new LRUCache<Caller['key'], RequestBudget>({ max: MAX_BUDGETS })
  return { probe, budgetOf, close: () => agent.destroy() }

  async function probe ({ authorization = '', key }: Caller): Promise<'ok' | Failure> {
    const budget = budgets.get(key) ?? createUpstreamBudget(settings, upstream.isBudgeted)
    const answer = await clientOf(authorization, budget).read({
      filter: {},
      window: {},
      direction: 'desc',
      page: 1,
      pageSize: 1
    }, { kind: 'caller', key })
    if (!answer.ok) return answer
    budgets.set(key, budget)
    return 'ok'
  }

  function clientOf (authorization: string, budget: RequestBudget) {
    return createKubiyaClient({
      ...clientOptions(settings, version, clock),
      baseUrl: upstream.baseUrl,
      authorization,
      budget,
      agent,
      tracer,
      onRequest: instruments.upstreamRequestCompleted
    })
  }

  function budgetOf (key: Caller['key']): RequestBudget {
    const known = budgets.get(key)
    if (known !== undefined) return known
    const budget = createUpstreamBudget(settings, upstream.isBudgeted)
    budgets.set(key, budget)
    return budget
  }
}
