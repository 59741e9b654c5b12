import type { FastifyBaseLogger } from 'fastify'
import { isLoopback, readTokens } from '../settings/access-rules.ts'
import { createOpenAuth, type Authenticator, type Denied } from '../access/caller.ts'
import { createHosts, hostsIn, type Hosts } from '../access/hosts.ts'
import { createRateLimits, type RateLimits } from '../access/rate-limits.ts'
import { createOrigins, originsIn, type Origins } from '../access/origins.ts'
import { createPassthroughAuth } from '../access/passthrough-auth.ts'
import { createStreamSlots, type StreamSlots } from '../access/stream-slots.ts'
import { createTickets, type Tickets } from '../access/tickets.ts'
import { createTokenAuth } from '../access/token-auth.ts'
import { createAuthFailureLimit } from '../access/auth-failure-limit.ts'
import type { Failure } from '../audit/source.ts'
import { CLOSE } from '../live/transport/close-codes.ts'
import type { Hub } from '../live/fanout/hub.ts'
import { meaningOf } from '../problems.ts'
import { createCredentialProbe, type CredentialProbeOptions } from './credential-probe.ts'
import type { Tenant } from './tenant.ts'
import { createOwnTenants, createSharedTenant, type Tenants } from './tenants.ts'
import type { Upstream } from './upstream.ts'

/** Authentication, limits, and the tenant of each caller. */
export interface AccessControl {
  readonly authenticator: Authenticator
  readonly tenants: Tenants
  readonly slots: StreamSlots<ReturnType<Hub['subscribe']>>
  readonly tickets: Tickets
  readonly exportSlots: StreamSlots<RevocableExport>
  readonly exportTickets: Tickets
  readonly limits: RateLimits
  readonly origins: Origins
  readonly hosts: Hosts
  /** The value of `WWW-Authenticate` (RFC 9110 §11.6.1). */
  readonly challenge: string
}

/** An export in progress. */
export interface RevocableExport {
  /** Cuts it off. */
  cut (): void
}

const REALM = 'realm="kubiya-audit-bff"'
const SLACK_MS = 1000
const RETRY_MS = 5000

export interface AccessControlOptions extends CredentialProbeOptions {
  readonly logger: FastifyBaseLogger
  /** Creates the tenant of an upstream credential. */
  readonly open: (upstream: Upstream) => Tenant
}

/** Wires access control as the settings say. */
export async function createAccessControl (options: AccessControlOptions): Promise<AccessControl> {
  const { clock, logger, open, settings, upstream } = options
  const slots = createStreamSlots<ReturnType<Hub['subscribe']>>({
    max: settings.MAX_SUBSCRIBERS,
    maxPerCaller: settings.MAX_SUBSCRIBERS_PER_CLIENT,
    end: (stream) => stream.end(CLOSE.unauthorized)
  })
  const exportSlots = createStreamSlots<RevocableExport>({
    max: settings.MAX_EXPORTS,
    maxPerCaller: 1,
    end: (running) => running.cut()
  })
  const limits = createRateLimits({
    requests: settings.RATE_LIMIT_PER_MINUTE,
    requestsOfAll: settings.RATE_LIMIT_TOTAL_PER_MINUTE,
    events: settings.EVENTS_LIMIT_PER_MINUTE,
    clock
  })
  const origins = createOrigins(originsIn(settings.ALLOWED_ORIGINS ?? ''))
  const hosts = createHosts({
    allowed: hostsIn(settings.ALLOWED_HOSTS ?? ''),
    origins: origins.list,
    isLoopback: isLoopback(settings.HOST)
  })
  const rest = {
    slots,
    exportSlots,
    limits,
    tickets: createTickets(clock),
    exportTickets: createTickets(clock),
    origins,
    hosts
  }
  if (settings.AUTH_MODE === 'passthrough') {
    return { ...rest, ...createOwn(), challenge: `Bearer ${REALM}, UserKey ${REALM}` }
  }
  return {
    ...rest,
    authenticator: await createAuthenticator(),
    tenants: createSharedTenant(open(upstream)),
    challenge: `Bearer ${REALM}`
  }

  function revoke (key: string): void {
    slots.revoke(key)
    exportSlots.revoke(key)
  }

  async function createAuthenticator (): Promise<Authenticator> {
    const recheckMs = settings.AUTH_RECHECK_MS
    switch (settings.AUTH_MODE) {
      case 'token':
        return createTokenAuth({
          read: () => readTokens(settings),
          recheckMs,
          clock,
          onRevoked: revoke,
          onError: (err) => logger.error({ err }, 'tokens cannot be read; the last tokens stay valid')
        })
      case 'jwt': {
        const { createJwtAuth } = await import('../access/jwt-auth.ts')
        return createJwtAuth({
          jwksUrl: settings.AUTH_JWKS_URL ?? '',
          issuer: settings.AUTH_ISSUER ?? '',
          audience: settings.AUTH_AUDIENCE ?? '',
          toleranceMs: settings.AUTH_CLOCK_TOLERANCE_MS,
          recheckMs,
          authFailures: createAuthFailureLimit(clock),
          onError: (err) => logger.warn({ err }, 'JWK Set unavailable; tokens cannot be verified'),
          clock
        })
      }
      default: return createOpenAuth()
    }
  }

  /** Mode `passthrough`: each credential that Kubiya accepts has a tenant of its own. */
  function createOwn (): Pick<AccessControl, 'authenticator' | 'tenants'> {
    const credentialProbe = createCredentialProbe(options)
    const tenants = createOwnTenants({
      create: ({ authorization = '', key }) =>
        open({
          ...upstream,
          authorization,
          budget: credentialProbe.budgetOf(key),
          onCredentialResult: (verdict) => authenticator.heard(key, verdict)
        }),
      max: settings.MAX_TENANTS,
      idleMs: settings.TENANT_IDLE_MS,
      requestMs: settings.UPSTREAM_TIMEOUT_MS + SLACK_MS,
      onError: (err) => logger.error({ err }, 'unexpected error'),
      clock
    })
    const authenticator = createPassthroughAuth({
      async probe (caller) {
        const outcome = await credentialProbe.probe(caller)
        if (outcome === 'ok') return 'accepted'
        return outcome.kind === 'unauthorized' || outcome.kind === 'forbidden' ? outcome.kind : deniedBy(outcome)
      },
      recheckMs: settings.AUTH_RECHECK_MS,
      graceMs: settings.CACHE_STALE_IF_ERROR_MS,
      authFailures: createAuthFailureLimit(clock),
      onRevoked: (key) => {
        revoke(key)
        tenants.evict(key)
      },
      clock
    })
    return {
      authenticator: {
        ...authenticator,
        close: () =>
          credentialProbe.close().catch((err: unknown) => logger.error({ err }, 'unexpected error'))
      },
      tenants
    }
  }
}

/** The denial when Kubiya cannot be asked whether it accepts a credential. */
function deniedBy (failure: Failure): Denied {
  const { code, detail } = meaningOf(failure.kind)
  return {
    ok: false,
    code,
    detail,
    ...['throttled', 'budget'].includes(failure.kind) && { retryAfterMs: failure.retryAfterMs ?? RETRY_MS }
  }
}
