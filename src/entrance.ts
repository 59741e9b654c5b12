import type { FastifyBaseLogger } from 'fastify'
import { isLoopback, readTokens } from './access-settings.ts'
import type { Refusal } from './access/caller.ts'
import { createOpenGate, type Gate } from './access/gate.ts'
import { createHosts, hostsIn, type Hosts } from './access/hosts.ts'
import { createLimits, type Limits } from './access/limits.ts'
import { createOrigins, originsIn, type Origins } from './access/origins.ts'
import { createPassthroughGate } from './access/passthrough.ts'
import { createSeats, type Seats } from './access/seats.ts'
import { createTickets, type Tickets } from './access/tickets.ts'
import { createTokenGate } from './access/tokens.ts'
import { createTrials } from './access/trials.ts'
import type { Failure } from './audit/source.ts'
import { ENDINGS } from './live/endings.ts'
import type { Hub } from './live/hub.ts'
import { meaningOf } from './problems.ts'
import { createProbing, type ProbingOptions } from './probing.ts'
import type { Scope, Upstream } from './scope.ts'
import { createOwnScopes, createSharedScope, type Scopes } from './scopes.ts'
import { setTimer } from './set-timer.ts'

/** Who comes in, how much of it all they may have, and what they see. */
export interface Entrance {
  readonly gate: Gate
  readonly scopes: Scopes
  readonly seats: Seats<ReturnType<Hub['subscribe']>>
  readonly tickets: Tickets
  readonly limits: Limits
  readonly origins: Origins
  readonly hosts: Hosts
  /** The value of `WWW-Authenticate` (RFC 9110 §11.6.1). */
  readonly challenge: string
}

const REALM = 'realm="kubiya-audit-bff"'
const SLACK_MS = 1000
const RETRY_MS = 5000

export interface EntranceOptions extends ProbingOptions {
  readonly logger: FastifyBaseLogger
  /** Makes a scope in front of an upstream. */
  readonly open: (upstream: Upstream) => Scope
}

/** Wires it as the settings say. */
export async function createEntrance (options: EntranceOptions): Promise<Entrance> {
  const { logger, open, settings, upstream } = options
  const nowMs = () => performance.now()
  const seats = createSeats<ReturnType<Hub['subscribe']>>({
    most: settings.MAX_SUBSCRIBERS,
    mostPerCaller: settings.MAX_SUBSCRIBERS_PER_CLIENT,
    end: (stream) => stream.end(ENDINGS.unauthorized)
  })
  const limits = createLimits({
    requests: { each: settings.RATE_LIMIT_PER_MINUTE, all: settings.RATE_LIMIT_TOTAL_PER_MINUTE },
    events: { each: settings.EVENTS_LIMIT_PER_MINUTE, all: settings.EVENTS_LIMIT_TOTAL_PER_MINUTE },
    bytes: { each: settings.BYTES_LIMIT_PER_MINUTE, all: settings.BYTES_LIMIT_TOTAL_PER_MINUTE },
    nowMs
  })
  const origins = createOrigins(originsIn(settings.ALLOWED_ORIGINS ?? ''))
  const hosts = createHosts({ allowed: hostsIn(settings.ALLOWED_HOSTS ?? ''), origins: origins.list, isLoopback: isLoopback(settings.HOST) })
  const rest = { seats, limits, tickets: createTickets(setTimer), origins, hosts }
  if (settings.AUTH_MODE === 'passthrough') return { ...rest, ...createOwn(), challenge: `Bearer ${REALM}, UserKey ${REALM}` }
  return { ...rest, gate: await createGate(), scopes: createSharedScope(open(upstream)), challenge: `Bearer ${REALM}` }

  async function createGate (): Promise<Gate> {
    const recheckMs = settings.AUTH_RECHECK_MS
    switch (settings.AUTH_MODE) {
      case 'token': return createTokenGate({ read: () => readTokens(settings), recheckMs, onRevoked: seats.revoke, onError: (err) => logger.error({ err }, 'tokens cannot be read; the last ones count') })
      case 'jwt': {
        const { createJwtGate } = await import('./access/jwt.ts')
        return createJwtGate({
          jwksUrl: settings.AUTH_JWKS_URL ?? '',
          issuer: settings.AUTH_ISSUER ?? '',
          audience: settings.AUTH_AUDIENCE ?? '',
          toleranceMs: settings.AUTH_CLOCK_TOLERANCE_MS,
          recheckMs,
          trials: createTrials(nowMs),
          onError: (err) => logger.warn({ err }, 'the keys that tokens are checked with cannot be had'),
          clock: Date.now
        })
      }
      default: return createOpenGate()
    }
  }

  /** Callers with their own credentials for Kubiya, each in a scope of its own once Kubiya has accepted it. */
  function createOwn (): Pick<Entrance, 'gate' | 'scopes'> {
    const probing = createProbing(options)
    const scopes = createOwnScopes({
      create: ({ authorization = '', key }) => open({ ...upstream, authorization, budget: probing.budgetOf(key), onWord: (word) => gate.heard(key, word) }),
      most: settings.MAX_SCOPES,
      idleMs: settings.SCOPE_IDLE_MS,
      requestMs: settings.UPSTREAM_TIMEOUT_MS + SLACK_MS,
      onError: (err) => logger.error({ err }, 'unforeseen error'),
      clock: Date.now
    })
    const gate = createPassthroughGate({
      async probe (caller) {
        const word = await probing.probe(caller)
        if (word === 'ok') return 'accepted'
        return word.kind === 'unauthorized' || word.kind === 'forbidden' ? word.kind : unanswered(word)
      },
      recheckMs: settings.AUTH_RECHECK_MS,
      graceMs: settings.CACHE_STALE_IF_ERROR_MS,
      trials: createTrials(nowMs),
      onRevoked: (key) => {
        seats.revoke(key)
        scopes.drop(key)
      },
      nowMs
    })
    return { gate: { ...gate, close: () => probing.close().catch((err: unknown) => logger.error({ err }, 'unforeseen error')) }, scopes }
  }
}

/** Kubiya could not be asked whether it accepts a credential. */
function unanswered (failure: Failure): Refusal {
  const { code, detail } = meaningOf(failure.kind)
  return { ok: false, code, detail, ...['throttled', 'budget'].includes(failure.kind) && { retryAfterMs: failure.retryAfterMs ?? RETRY_MS } }
}
