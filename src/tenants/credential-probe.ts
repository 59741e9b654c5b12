import { LRUCache } from 'lru-cache'
import type { Caller } from '../access/caller.ts'
import type { Failure } from '../audit/source.ts'
import { createHttpAgent } from '../kubiya/http-agent.ts'
import type { RequestBudget } from '../kubiya/request-budget.ts'
import { createKubiyaClient } from '../kubiya/client.ts'
import type { Instruments } from '../instruments.ts'
import { clientSettings, createOwnBudget, type Upstream } from './tenant.ts'
import type { Settings } from '../settings.ts'
import type { Tracer } from '../tracer.ts'

export interface CredentialProbeOptions {
  readonly settings: Settings
  readonly upstream: Upstream
  readonly instruments: Instruments
  readonly tracer: Tracer
  readonly version: string
}

/** Asks Kubiya about credentials that have no tenant yet, over connections of its own. */
export interface CredentialProbe {
  /** Asks Kubiya for one event as a caller, to see whether it accepts the credential. */
  probe (caller: Caller): Promise<'ok' | Failure>
  /** The request budget of a credential that Kubiya has accepted. It outlives the tenants of that caller. */
  budgetOf (key: Caller['key']): RequestBudget
  close (): Promise<void>
}

const CONNECTIONS = 64 // As many as are asked about at a time.
const LONGEST_CONNECT_MS = 5000
const MOST_BUDGETS = 10_000 // Those that were used longest ago are forgotten.

export function createCredentialProbe (
  { instruments, settings, tracer, upstream, version }: CredentialProbeOptions
): CredentialProbe {
  const agent = createHttpAgent({
    connections: CONNECTIONS,
    connect: { timeout: Math.min(settings.UPSTREAM_TIMEOUT_MS, LONGEST_CONNECT_MS) }
  })
  const budgets = new LRUCache<Caller['key'], RequestBudget>({ max: MOST_BUDGETS })
  return { probe, budgetOf, close: () => agent.destroy() }

  async function probe ({ authorization = '', key }: Caller): Promise<'ok' | Failure> {
    const budget = budgets.get(key) ?? createOwnBudget(settings, upstream.isBudgeted)
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
      ...clientSettings(settings, version),
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
    const budget = createOwnBudget(settings, upstream.isBudgeted)
    budgets.set(key, budget)
    return budget
  }
}
