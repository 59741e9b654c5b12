import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { callerKey } from '../access/client-address.ts'
import { NO_TENANT, UNAUTHORIZED, type Caller, type Denied, type AuthResult } from '../access/caller.ts'
import { credentialOf, type Credential } from '../access/credential.ts'
import type { Authenticator } from '../access/authenticator.ts'
import { withoutDefaultPort, type Hosts, type OwnOrigin } from '../access/hosts.ts'
import type { RateLimits } from '../access/rate-limits.ts'
import { originRefusal, type Origins } from '../access/origins.ts'
import type { Tickets } from '../access/tickets.ts'
import { sendDenied, sendFaults } from './problem-reply.ts'
import type { Tenant } from '../tenants/tenant.ts'
import { hostOf } from './host-check.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks. Set before anything else is done for the request. */
    caller: Caller | undefined
    /** What the caller may see. */
    tenant: Tenant | undefined
    /** What the caller presented, for a ticket in its place. */
    credential: Credential | 'none'
  }
}

export interface AuthenticateOptions {
  readonly authenticator: Authenticator
  readonly origins: Origins
  readonly hosts: Hosts
  readonly tickets: Tickets
  readonly limits: RateLimits
  /** What a caller may see; `undefined`: there are as many tenants as may be. */
  readonly tenantOf: (caller: Caller) => Tenant | undefined
  /** The value of `WWW-Authenticate`. */
  readonly challenge: string
  /** Whether these routes are closed to pages of origins that are not known, and take tickets. */
  readonly isLive: boolean
}

const CREDENTIAL_IN_URL = /[?&](access_token|token|authorization|api_?key)=/i

/** Gives requests a place for what admission finds out. */
export function decorate (app: FastifyInstance): void {
  app.decorateRequest('caller', undefined)
  app.decorateRequest('tenant', undefined)
  app.decorateRequest('credential', 'none')
}

/**
 * Lets the requests of a plugin's routes in, or answers why not, before anything else is looked at. With callbacks: a
 * promise costs more than a hit.
 */
const plugin: FastifyPluginAsync<AuthenticateOptions> = async (
  app,
  { challenge, authenticator, hosts, isLive, limits, origins, tenantOf, tickets }
) => {
  app.addHook('onRequest', (request, reply, done) => {
    if (hasLeft(request)) return leave(reply)
    const [, name] = CREDENTIAL_IN_URL.exec(request.url) ?? []
    if (name !== undefined) {
      sendFaults(reply, 'invalid-parameter', [{
        parameter: name,
        message: 'credentials do not belong in a URL: use `Authorization`, or a ticket'
      }])
      return
    }
    const verdict = judge(request)
    if (verdict instanceof Promise) verdict.then((each) => conclude(request, reply, each, done)).catch(done)
    else conclude(request, reply, verdict, done)
  })

  function judge (request: FastifyRequest): AuthResult | Promise<AuthResult> {
    if (isLive) {
      const { origin } = request.headers
      const own = hosts.ownOrigin(request.protocol, hostOf(request))
      if (origin !== undefined && !origins.allows(origin) && !isOwn(origin, own)) return originRefusal(origin, own)
    }
    const presented = credentialOf(request.headers, request.raw.rawHeaders)
    const ticketed = isLive ? redeemed(request) : undefined
    // Exactly one credential: which of two counts, nobody can say.
    if (ticketed !== undefined && presented !== 'none') return UNAUTHORIZED
    const credential = ticketed ?? presented
    if (credential === 'unreadable') return UNAUTHORIZED
    request.credential = credential
    return authenticator.authenticate(credential, callerKey(request.ip, request.ips))
  }

  /** What the request's ticket stands for; one that stands for nothing is no credential. */
  function redeemed (request: FastifyRequest): Credential | 'none' | 'unreadable' | undefined {
    const { ticket } = request.query as { ticket?: unknown }
    if (ticket === undefined) return undefined
    return typeof ticket === 'string'
      ? tickets.redeem(ticket, pageOf(request), ownPageOf(request)) ?? 'unreadable'
      : 'unreadable'
  }

  /**
   * Where a page of the service's own would have come from. An `EventSource` on it says no origin, but some browsers
   * say that.
   */
  function ownPageOf (request: FastifyRequest): string | undefined {
    const { 'sec-fetch-site': site = 'same-origin' } = request.headers
    const own = hosts.ownOrigin(request.protocol, hostOf(request))
    return site === 'same-origin' && own?.isTrusted === true ? own.origin : undefined
  }

  function conclude (request: FastifyRequest, reply: FastifyReply, verdict: AuthResult, done: () => void): void {
    if (hasLeft(request)) return leave(reply)
    if (!verdict.ok) return refuse(reply, verdict)
    const { caller } = verdict
    request.caller = caller
    const refusal = limits.request(caller.key)
    if (refusal !== undefined) return refuse(reply, refusal)
    request.tenant = tenantOf(caller)
    if (request.tenant === undefined) return refuse(reply, NO_TENANT)
    done()
  }

  function refuse (reply: FastifyReply, refusal: Denied): void {
    if (refusal.code === 'unauthorized') reply.header('www-authenticate', challenge)
    sendDenied(reply, refusal)
  }
}

export const authenticate = fastifyPlugin(plugin, { name: 'admission' })

/** Whether the connection has gone: nothing is begun for nobody, and nobody knows its address any more. */
function hasLeft ({ raw: { socket } }: FastifyRequest): boolean {
  return socket.destroyed
}

function leave (reply: FastifyReply): void {
  reply.hijack()
}

/** The origin of the page that sent a request; `undefined`: no page, or one that does not say. */
export function pageOf ({ headers: { origin } }: FastifyRequest): string | undefined {
  return origin === undefined ? undefined : withoutDefaultPort(origin)
}

function isOwn (origin: string, own: OwnOrigin | undefined): boolean {
  return own?.isTrusted === true && own.origin === withoutDefaultPort(origin)
}

/** The caller of an admitted request. */
export function callerOf ({ caller }: FastifyRequest): Caller {
  if (caller === undefined) throw new Error('handler ran without authentication')
  return caller
}

/** What the caller of an admitted request may see. */
export function tenantOf ({ tenant }: FastifyRequest): Tenant {
  if (tenant === undefined) throw new Error('handler ran without authentication')
  return tenant
}
