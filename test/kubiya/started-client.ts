import type { Failure, FailureKind, Purpose, SourceQuery } from '../../src/audit/source.ts'
import { createRequestBudget, type RequestBudget } from '../../src/kubiya/request-budget.ts'
import { silentTracer } from '../../src/tracer.ts'
import { systemClock } from '../../src/clock.ts'
import { createKubiyaClient, type KubiyaOptions } from '../../src/kubiya/client.ts'
import { createListParser, type ParsedList } from '../../src/kubiya/list-parser.ts'
import { startSandbox, type SandboxOptions } from '../../src/sandbox/sandbox.ts'
import { CALLER } from '../support/purposes.ts'

export interface Owner { teardown (action: () => unknown): void }

export const KEY = 'canary-key-5f3a'

export function question (query: Partial<SourceQuery> = {}): SourceQuery {
  return { filter: {}, window: {}, direction: 'desc', page: 1, pageSize: 50, ...query }
}

export const unlimited = (): RequestBudget => createRequestBudget({ perMinute: 0, perDay: 0 })

/** A client in front of a sandbox; both end with the test. */
export async function started (t: Owner, options: SandboxOptions = {}, clientOptions: Partial<KubiyaOptions> = {}) {
  const sandbox = await startSandbox({ apiKey: KEY, ...options })
  t.teardown(() => sandbox.close())
  const outcomes: string[] = []
  const client = createKubiyaClient({
    baseUrl: sandbox.url,
    authorization: `UserKey ${KEY}`,
    userAgent: 'kubiya-audit-bff/test',
    sessionFilter: 'extra.session_id',
    timeoutMs: 5000,
    maxBytes: 1_000_000,
    budget: unlimited(),
    clock: systemClock,
    tracer: silentTracer,
    onRequest: (_purpose, outcome) => { outcomes.push(outcome) },
    ...clientOptions
  })
  t.teardown(() => client.close())
  return {
    sandbox,
    client,
    outcomes,
    read: (query: Partial<SourceQuery> = {}, purpose: Purpose = CALLER) => client.read(question(query), purpose)
  }
}

export function kindOf (outcome: { ok: true } | Failure): FailureKind | 'ok' {
  return outcome.ok ? 'ok' : outcome.kind
}

export const MANY_ROWS = 10_000

export function createReader (remembers: boolean) {
  const read = createListParser({ remembers, clock: systemClock })
  return async (body: string): Promise<ParsedList | undefined> => {
    const listing = await read(body, MANY_ROWS)
    if (listing === 'too-large') throw new Error(listing)
    return listing
  }
}

export const readListing = (body: string) => createReader(false)(body)
export const createPolledReader = () => createReader(true)
