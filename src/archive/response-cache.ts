import type { Requester } from '../audit/requester.ts'
import type { Failure } from '../audit/source.ts'
import type { Clock } from '../clock.ts'
import type { CacheLookup, Instruments } from '../instruments.ts'
import { createCollapsedForwarding, type Flight } from './collapsed-forwarding.ts'
import { createResponseStore, type ResponseStoreOptions } from './response-store.ts'
import type { CacheableResponse, StoredResponse } from './stored-response.ts'

/** How the cache handled a request (RFC 9211). */
export type CacheStatus =
  | HitStatus
  | {
    readonly kind: 'forwarded',
    readonly reason: ForwardReason,
    readonly collapsed: boolean,
    readonly detail?: 'stale-if-error'
  }

interface HitStatus {
  readonly kind: 'hit'
  /** `log`: the events came out of the event log. `memory`: the table of counts answered. */
  readonly detail?: 'stale-while-revalidate' | 'stale-if-error' | 'log' | 'memory'
}

type ForwardReason = 'miss' | 'stale' | 'request'

export interface CacheResult {
  readonly ok: true
  readonly response: StoredResponse
  /** Milliseconds since Kubiya had answered. */
  readonly ageMs: number
  readonly cacheStatus: CacheStatus
}

export interface ResponseCacheOptions extends Pick<ResponseStoreOptions, 'maxBytes' | 'pool'> {
  /** Stale-while-revalidate and stale-if-error (RFC 5861). */
  readonly staleMs: number
  readonly staleIfErrorMs: number
  /** Shortest time between two refreshes of one key because of new events. */
  readonly refreshIntervalMs: number
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly instruments: Pick<Instruments, 'cacheLookup' | 'cacheEvicted'>
  /** Receives what a background refresh throws. */
  readonly onError: (error: unknown) => void
}

/** A response that was made. With `keep: false` it is served but not stored. */
export interface Produced {
  readonly ok: true
  readonly response: CacheableResponse
  readonly keep: boolean
  /** Why a response out of the log is stale: the poll failed. */
  readonly failure?: Failure
}

export interface CacheRequest {
  readonly key: string
  /** Makes the response out of the log, for all requests that wait. `undefined`: Kubiya has to be asked. */
  readonly produceFromLog?: () => Promise<Produced | Failure | undefined>
  /** Makes the response for all requests that wait, on the account of the first. The signal: all of them left. */
  readonly produce: (requester: Requester, signal: AbortSignal) => Promise<Produced | Failure>
  /** Whether an event entered the log that the response does not show. */
  readonly isInvalidated: (response: StoredResponse) => boolean
}

/** What else is known of a request. */
export interface RequestContext {
  /** Whether the caller sent `no-cache`. */
  readonly noCache: boolean
  /** On whose account Kubiya is called; evaluated only then. */
  readonly requester: () => Requester
}

export interface ResponseCache {
  /** Returns a stored response at once. Returns a promise if Kubiya is called. */
  serve (request: CacheRequest, context: RequestContext): CacheResult | Promise<CacheResult | Failure>
  /** The stored response, fresh or not. */
  peek (key: string): StoredResponse | undefined
  /** Drops everything, for example after a refused credential. */
  clear (): void
  /** Drops everything, and stores nothing from now on. */
  close (): void
  usage (): { readonly entries: number, readonly bytes: number }
}

type Outcome = StoredOutcome | Failure

interface StoredOutcome {
  readonly ok: true
  readonly response: StoredResponse
  readonly epoch: number
  readonly failure: Failure | undefined
}

const NO_CACHE_INTERVAL_MS = 1000
const HIT: HitStatus = { kind: 'hit' }
const HELD_HITS = {
  log: { kind: 'hit', detail: 'log' },
  memory: { kind: 'hit', detail: 'memory' }
} as const satisfies Record<string, HitStatus>
const STALE_HIT: HitStatus = { kind: 'hit', detail: 'stale-while-revalidate' }

/**
 * Serves complete responses. A fresh one is served; then a stale one while it is refreshed; then a stale one if Kubiya
 * fails (RFC 5861). The log is asked before Kubiya, except for `no-cache`. Equal requests share one call. A refused
 * credential (401) clears the cache, and a forbidden request (403) drops its entry: no stale response follows either.
 */
export function createResponseCache (options: ResponseCacheOptions): ResponseCache {
  const { clock, instruments, onError, refreshIntervalMs, staleIfErrorMs, staleMs } = options
  const entries = createResponseStore({ ...options, onEvicted: instruments.cacheEvicted })
  const forwarding = createCollapsedForwarding<Outcome>()
  const logReading = createCollapsedForwarding<Outcome | undefined>()
  return { serve, peek: entries.peek, clear: entries.clear, close: entries.close, usage: entries.usage }

  function serve (request: CacheRequest, context: RequestContext): CacheResult | Promise<CacheResult | Failure> {
    const response = entries.get(request.key)
    if (response === undefined) return miss(request, context)
    const ageMs = ageOf(response)
    const isFresh = ageMs < response.freshMs
    // An absence is never served stale: a failure of Kubiya must not become "not found".
    if (!isFresh && response.status === 404) return miss(request, context)
    if (context.noCache && clock.monotonicMs() - response.forwardedMs >= NO_CACHE_INTERVAL_MS) {
      return forward(request, context, 'request', response)
    }
    // A response of Kubiya that new events caused is not refreshed again at once.
    const mayRefresh = ageMs >= refreshIntervalMs || !response.isRefresh || response.heldIn !== undefined
    if (mayRefresh && request.isInvalidated(response)) return answer(request, context, response, true)
    if (ageMs >= response.freshMs + staleMs) return answer(request, context, response)
    if (!isFresh) refresh(request, context).catch(onError) // A failure leaves the entry as it is.
    return hit(response, ageMs, isFresh)
  }

  function miss (request: CacheRequest, context: RequestContext): Promise<CacheResult | Failure> {
    return context.noCache ? forward(request, context, 'miss') : answer(request, context)
  }

  function hit (response: StoredResponse, ageMs: number, isFresh: boolean): CacheResult {
    const { heldIn } = response
    const cacheStatus = heldIn !== undefined ? HELD_HITS[heldIn] : isFresh ? HIT : STALE_HIT
    instruments.cacheLookup(cacheStatus.detail ?? 'hit', false)
    return { ok: true, response, ageMs, cacheStatus }
  }

  async function refresh (request: CacheRequest, context: RequestContext): Promise<unknown> {
    return await readLog(request) ?? join(request, context.requester()).outcome
  }

  /** Answers out of the log, or else from Kubiya. */
  async function answer (
    request: CacheRequest,
    context: RequestContext,
    stale?: StoredResponse,
    isRefresh = false
  ): Promise<CacheResult | Failure> {
    const epoch = entries.epoch()
    const reason = stale === undefined ? 'miss' : 'stale'
    const outcome = await readLog(request)
    if (outcome === undefined) return forward(request, context, reason, stale, isRefresh)
    if (!outcome.ok) return staleIfError(outcome, epoch === entries.epoch() ? stale : undefined, reason, false)
    const { failure, response } = outcome
    if (failure === undefined) return hit(response, ageOf(response), true)
    // The poll failed. The newer of both stale responses is served.
    if (stale !== undefined && stale.readMs > response.readMs) return staleIfError(failure, stale, reason, false)
    return mayServeStale(failure, response) ? hit(response, ageOf(response), true) : failed(failure, false)
  }

  /** Equal requests share one reading of the log. An answer that a refused credential saw is dropped. */
  async function readLog (request: CacheRequest): Promise<Outcome | undefined> {
    const { key, produceFromLog } = request
    if (produceFromLog === undefined) return undefined
    const outcome = await logReading.join(key, () => store(key, produceFromLog)).outcome
    return outcome?.ok === true && outcome.epoch !== entries.epoch() ? undefined : outcome
  }

  async function forward (
    request: CacheRequest,
    context: RequestContext,
    reason: ForwardReason,
    stale?: StoredResponse,
    isRefresh = false
  ): Promise<CacheResult | Failure> {
    const collapsed = forwarding.has(request.key)
    const epoch = entries.epoch()
    const requester = context.requester()
    const flight = join(request, requester)
    const stopWatching = requester.onDisconnect?.(flight.leave)
    const outcome = await flight.outcome.finally(stopWatching)
    if (outcome.ok) {
      if (isRefresh) outcome.response.isRefresh = true
      return forwarded(outcome.response, { kind: 'forwarded', reason, collapsed }, reason)
    }
    // After a clear, not even the stale response is served: the credential that saw it was refused meanwhile.
    return staleIfError(outcome, epoch === entries.epoch() ? stale : undefined, reason, collapsed)
  }

  function staleIfError (
    failure: Failure,
    stale: StoredResponse | undefined,
    reason: ForwardReason,
    collapsed: boolean
  ): CacheResult | Failure {
    if (stale === undefined || !mayServeStale(failure, stale)) return failed(failure, collapsed)
    return forwarded(stale, { kind: 'forwarded', reason, collapsed, detail: 'stale-if-error' }, 'stale-if-error')
  }

  function failed (failure: Failure, collapsed: boolean): Failure {
    instruments.cacheLookup('failed', collapsed)
    return failure
  }

  function forwarded (
    response: StoredResponse,
    cacheStatus: CacheStatus & { kind: 'forwarded' },
    lookup: CacheLookup
  ): CacheResult {
    instruments.cacheLookup(lookup, cacheStatus.collapsed)
    return { ok: true, response, ageMs: ageOf(response), cacheStatus }
  }

  function ageOf ({ readMs }: StoredResponse): number {
    return clock.monotonicMs() - readMs
  }

  function mayServeStale ({ kind }: Failure, { freshMs, readMs, status }: StoredResponse): boolean {
    if (kind === 'unauthorized' || kind === 'forbidden' || status === 404) return false
    return clock.monotonicMs() - readMs < freshMs + staleMs + staleIfErrorMs
  }

  function join (request: CacheRequest, requester: Requester): Flight<Outcome> {
    return forwarding.join(request.key, async (signal, aborted) => {
      const earlier = await aborted
      return earlier?.ok === true && earlier.epoch === entries.epoch()
        ? earlier
        : store<never>(request.key, () => request.produce(requester, signal))
    })
  }

  /** Makes a response and stores it. */
  async function store<None extends undefined = never> (
    key: string,
    produce: () => Promise<Produced | Failure | None>
  ): Promise<Outcome | None> {
    const epoch = entries.epoch()
    const outcome = await produce()
    if (outcome === undefined) return outcome
    if (!outcome.ok) {
      if (outcome.kind === 'unauthorized') entries.clear()
      if (outcome.kind === 'forbidden') entries.delete(key)
      return outcome
    }
    const { failure, keep, response: made } = outcome
    const forwardedMs = made.heldIn !== undefined ? entries.peek(key)?.forwardedMs ?? -Infinity : made.readMs
    const response = entries.toStored(key, made, forwardedMs)
    if (keep) entries.set(key, response, epoch)
    return { ok: true, response, epoch, failure }
  }
}
