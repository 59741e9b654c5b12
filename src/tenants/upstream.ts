import type { Clock } from '../clock.ts'
import { createRequestBudget, type RequestBudget } from '../kubiya/request-budget.ts'
import type { Settings } from '../settings.ts'

/** Where requests to Kubiya go, and with which credential. */
export interface Upstream {
  readonly baseUrl: string
  /** The value of `Authorization`. */
  readonly authorization: string
  /** Whether this service's request budget applies. The sandbox has none. */
  readonly isBudgeted: boolean
  /** The budget of a credential that had a tenant before: a new tenant must not get a new budget. */
  readonly budget?: RequestBudget
  /** Called with Kubiya's verdict on the credential, after any request. */
  readonly onCredentialResult?: (verdict: 'accepted' | 'unauthorized') => void
}

/** The request budget of one credential. */
export function createUpstreamBudget (settings: Settings, isBudgeted: boolean): RequestBudget {
  return createRequestBudget({
    perMinute: isBudgeted ? settings.KUBIYA_REQUESTS_PER_MINUTE : 0,
    perDay: isBudgeted ? settings.KUBIYA_REQUESTS_PER_DAY : 0,
    perCaller: settings.UPSTREAM_LIMIT_PER_MINUTE,
    pollMs: settings.POLL_INTERVAL_MS
  })
}

/** The options that all Kubiya clients share, with any credential. */
export function clientOptions (settings: Settings, version: string, clock: Clock) {
  return {
    ...settings.KUBIYA_ORGANIZATION_ID !== undefined && { organizationId: settings.KUBIYA_ORGANIZATION_ID },
    userAgent: `kubiya-audit-bff/${version}`,
    sessionFilter: settings.KUBIYA_SESSION_FILTER,
    timeoutMs: settings.UPSTREAM_TIMEOUT_MS,
    maxBytes: settings.UPSTREAM_MAX_BYTES,
    clock
  }
}
