import type { Socket } from 'node:net'
import type {
  FastifyInstance,
  FastifyPluginAsync,
  FastifyReply,
  FastifyRequest,
  onRequestHookHandler
} from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { callerKey } from '../access/client-address.ts'
import {
  NO_TENANT,
  UNAUTHORIZED,
  credentialOf,
  type AuthResult,
  type Authenticator,
  type Caller,
  type Credential,
  type Denied
} from '../access/caller.ts'
import { withoutDefaultPort, type Hosts, type OwnOrigin } from '../access/hosts.ts'
import type { RateLimits } from '../access/rate-limits.ts'
import { originRefusal, type Origins } from '../access/origins.ts'
import type { Tickets } from '../access/tickets.ts'
import type { Requester } from '../audit/requester.ts'
import type { Failure } from '../audit/source.ts'
import type { Tenant } from '../tenants/tenant.ts'
import { sendDenied, sendFaults } from './problem-reply.ts'
import { hostOf, queryOf } from './request-checks.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The authenticated caller. Set before any handler runs. */
    caller: Caller | undefined
    /** The caller's tenant. */
    tenant: Tenant | undefined
    /** The caller's credential, for which a ticket can be issued. */
    credential: Credential | 'none'
  }
}

export interface AuthenticateOptions {
  readonly authenticator: Authenticator
  readonly origins: Origins
  readonly hosts: Hosts
  readonly tickets: Tickets
  /** Tickets for exports. Present: these routes accept them. */
  readonly exportTickets?: Tickets
  readonly limits: RateLimits
  /** The caller's tenant. `undefined`: the maximum number of tenants is active. */
  readonly tenantOf: (caller: Caller) => Tenant | undefined
  /** The credential that a request presents. */
  readonly credentialOf: (request: FastifyRequest) => Credential | 'none' | 'unreadable'
  /** The value of `WWW-Authenticate`. */
  readonly challenge: string
  /** Whether these routes deny pages of unknown origins, and accept tickets for streams. */
  readonly isLive: boolean
}

const CREDENTIAL_IN_URL = /[?&](access_token|token|authorization|api_?key)=/i

/** Declares the request properties that authentication sets. */
export function decorate (app: FastifyInstance): void {
  app.decorateRequest('caller', undefined)
  app.decorateRequest('tenant', undefined)
  app.decorateRequest('credential', 'none')
}

/**
 * Authenticates the requests of a plugin's routes before any other hook, or denies them. Callbacks: a promise would
 * cost more than a cache hit.
 */
const plugin: FastifyPluginAsync<AuthenticateOptions> = async (
  app,
  { challenge, authenticator, credentialOf, exportTickets, hosts, isLive, limits, origins, tenantOf, tickets }
) => {
  app.addHook('onRequest', (request, reply, done) => {
    if (isDisconnected(request)) return abandon(reply)
    const [, name] = CREDENTIAL_IN_URL.exec(request.url) ?? []
    if (name !== undefined) {
      sendFaults(reply, 'invalid-parameter', [{
        parameter: name,
        message: 'credentials do not belong in a URL: use `Authorization`, or a ticket'
      }])
      return
    }
    const result = check(request)
    if (result instanceof Promise) result.then((each) => finish(request, reply, each, done)).catch(done)
    else finish(request, reply, result, done)
  })

  function check (request: FastifyRequest): AuthResult | Promise<AuthResult> {
    if (isLive) {
      const { origin } = request.headers
      const own = hosts.ownOrigin(request.protocol, hostOf(request))
      if (origin !== undefined && !origins.allows(origin) && !isOwn(origin, own)) return originRefusal(origin, own)
    }
    const presented = credentialOf(request)
    const ticketed = isLive || exportTickets !== undefined ? redeemed(request) : undefined
    // Exactly one credential is allowed: with two, it would be unclear which one applies.
    if (ticketed !== undefined && presented !== 'none') return UNAUTHORIZED
    const credential = ticketed ?? presented
    if (credential === 'unreadable') return UNAUTHORIZED
    request.credential = credential
    return authenticator.authenticate(credential, callerKey(request.ip, request.ips))
  }

  /** The credential behind the request's ticket. An invalid ticket is an unreadable credential. */
  function redeemed (request: FastifyRequest): Credential | 'none' | 'unreadable' | undefined {
    const { ticket } = queryOf(request)
    if (ticket === undefined) return undefined
    if (typeof ticket !== 'string') return 'unreadable'
    return exportTickets === undefined
      ? tickets.redeem(ticket, pageOf(request), ownPageOf(request)) ?? 'unreadable'
      : exportTickets.redeem(ticket, queryBond(request)) ?? 'unreadable'
  }

  /**
   * The service's own origin, when a page of it may have sent the request. An `EventSource` of such a page sends no
   * `Origin`; some browsers send `Sec-Fetch-Site`.
   */
  function ownPageOf (request: FastifyRequest): string | undefined {
    const { 'sec-fetch-site': site = 'same-origin' } = request.headers
    const own = hosts.ownOrigin(request.protocol, hostOf(request))
    return site === 'same-origin' && own?.isTrusted === true ? own.origin : undefined
  }

  function finish (request: FastifyRequest, reply: FastifyReply, result: AuthResult, done: () => void): void {
    if (isDisconnected(request)) return abandon(reply)
    if (!result.ok) return deny(reply, result)
    const { caller } = result
    request.caller = caller
    const refusal = limits.request(caller.key)
    if (refusal !== undefined) return deny(reply, refusal)
    request.tenant = tenantOf(caller)
    if (request.tenant === undefined) return deny(reply, NO_TENANT)
    done()
  }

  function deny (reply: FastifyReply, refusal: Denied): void {
    if (refusal.code === 'unauthorized') reply.header('www-authenticate', challenge)
    sendDenied(reply, refusal)
  }
}

export const authenticate = fastifyPlugin(plugin, { name: 'authenticate' })

/** A hook for routes without a credential: counts the requests of an address. */
export function limitByAddress (limits: Pick<RateLimits, 'request'>): onRequestHookHandler {
  return (request, reply, done) => {
    const refusal = limits.request(callerKey(request.ip, request.ips))
    if (refusal === undefined) done()
    else sendDenied(reply, refusal)
  }
}

/** Whether the client has disconnected. Its address is then unknown, and no work should start. */
function isDisconnected ({ raw: { socket } }: FastifyRequest): boolean {
  return socket.destroyed
}

function abandon (reply: FastifyReply): void {
  reply.hijack()
}

/** The origin of the page that sent a request. `undefined`: no page, or a page that sends no `Origin`. */
export function pageOf ({ headers: { origin } }: FastifyRequest): string | undefined {
  return origin === undefined ? undefined : withoutDefaultPort(origin)
}

/** The query of a request as it was written, without its ticket: equal for the same parameters in any order. */
export function queryBond ({ url }: FastifyRequest): string {
  const parameters = new URLSearchParams(searchOf(url))
  parameters.delete('ticket')
  parameters.sort()
  return parameters.toString()
}

/** The query string of a request, without its question mark. */
export function searchOf (url: string): string {
  const mark = url.indexOf('?')
  return mark < 0 ? '' : url.slice(mark + 1)
}

function isOwn (origin: string, own: OwnOrigin | undefined): boolean {
  return own?.isTrusted === true && own.origin === withoutDefaultPort(origin)
}

/** The caller of an authenticated request. */
export function callerOf ({ caller }: FastifyRequest): Caller {
  if (caller === undefined) throw new Error('handler ran without authentication')
  return caller
}

/** The tenant of an authenticated request. */
export function tenantOf ({ tenant }: FastifyRequest): Tenant {
  if (tenant === undefined) throw new Error('handler ran without authentication')
  return tenant
}

/** The credential that a request presents in its headers. */
export function presentedCredential (
  { headers, raw: { rawHeaders } }: FastifyRequest
): Credential | 'none' | 'unreadable' {
  return credentialOf(headers, rawHeaders)
}

/** The requester behind reads of Kubiya: a caller's key and limits. With a socket, it reports the disconnect. */
export function createRequester (key: string, limits: RateLimits, socket?: Socket): Requester {
  return {
    key,
    reserve (events) {
      const ahead = limits.reserve(key, events)
      return ahead.ok ? ahead : failureOf(ahead)
    },
    ...socket !== undefined && {
      onDisconnect (listener) {
        socket.once('close', listener)
        return () => { socket.removeListener('close', listener) }
      }
    }
  }
}

/** The caller's own limit is a spent share; the limit of all callers together is a spent budget. */
function failureOf ({ code, retryAfterMs }: Denied): Failure {
  return {
    ok: false,
    kind: code === 'rate-limited' ? 'share' : 'budget',
    ...retryAfterMs !== undefined && { retryAfterMs }
  }
}
