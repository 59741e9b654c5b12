import { LRUCache } from 'lru-cache'
import type { BytePool } from '../audit/byte-pool.ts'
import type { Requester } from '../audit/requester.ts'
import type { Failure } from '../audit/source.ts'
import type { Clock } from '../clock.ts'
import type { CacheLookup, Instruments } from '../instruments.ts'
import { createCollapsedForwarding, type Flight } from './collapsed-forwarding.ts'
import { encodedBytes } from './content-encoding.ts'
import type { CacheableResponse, StoredResponse } from './stored-response.ts'

/** How the cache handled a request (RFC 9211). */
export type CacheStatus =
  | { readonly kind: 'hit', readonly detail?: 'stale-while-revalidate' | 'stale-if-error' }
  | {
    readonly kind: 'forwarded',
    readonly reason: ForwardReason,
    readonly collapsed: boolean,
    readonly detail?: 'stale-if-error'
  }

type ForwardReason = 'miss' | 'stale' | 'request'

export interface CacheResult {
  readonly ok: true
  readonly response: StoredResponse
  /** Milliseconds since Kubiya had answered. */
  readonly ageMs: number
  readonly cacheStatus: CacheStatus
}

export interface ResponseCacheOptions {
  readonly maxBytes: number
  /** The bound on all caches together, if there are several. */
  readonly pool?: BytePool
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
}

export interface CacheRequest {
  readonly key: string
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

type Outcome = { readonly ok: true, readonly response: StoredResponse, readonly epoch: number } | Failure

const ENTRY_OVERHEAD_BYTES = 1536 // Measured: headers, key and objects of one entry.
const NO_CACHE_INTERVAL_MS = 1000
const HIT: CacheStatus = { kind: 'hit' }
const STALE_HIT: CacheStatus = { kind: 'hit', detail: 'stale-while-revalidate' }

/**
 * Stores complete responses with their encodings, bounded by bytes. Equal requests share one call to Kubiya. A fresh
 * response is served; then a stale one while it is refreshed; then a stale one if Kubiya fails. A refused credential
 * (401) clears the cache, and a forbidden request (403) drops its entry: neither is followed by a stale response.
 */
export function createResponseCache (options: ResponseCacheOptions): ResponseCache {
  const { clock, instruments, maxBytes, onError, refreshIntervalMs, staleIfErrorMs, staleMs } = options
  const entries = maxBytes === 0
    ? undefined
    : new LRUCache<string, StoredResponse>({ maxSize: maxBytes, sizeCalculation: weigh, dispose: countEviction })
  const share = options.pool?.join({ shrink })
  const forwarding = createCollapsedForwarding<Outcome>()
  let epoch = 0 // Grows with each clear: a call that began before a clear leaves nothing behind.
  let isClosed = false
  return { serve, peek: (key) => entries?.peek(key), clear, close, usage: () => ({ entries: entries?.size ?? 0, bytes: heldBytes() }) }

  function serve (request: CacheRequest, context: RequestContext): CacheResult | Promise<CacheResult | Failure> {
    const response = entries?.get(request.key)
    if (response === undefined) return forward(request, context, 'miss')
    const ageMs = clock.monotonicMs() - response.readMs
    const isFresh = ageMs < response.freshMs
    // An absence is never served stale: a failure of Kubiya must not become "not found".
    if (!isFresh && response.status === 404) return forward(request, context, 'miss')
    if (context.noCache && ageMs >= NO_CACHE_INTERVAL_MS) return forward(request, context, 'request', response)
    if (mayRefresh(response, ageMs) && request.isInvalidated(response)) {
      return forward(request, context, 'stale', response, true)
    }
    if (ageMs >= response.freshMs + staleMs) return forward(request, context, 'stale', response)
    if (!isFresh) join(request, context.requester()).outcome.catch(onError) // A failure leaves the entry as it is.
    instruments.cacheLookup(isFresh ? 'hit' : 'stale-while-revalidate', false)
    return { ok: true, response, ageMs, cacheStatus: isFresh ? HIT : STALE_HIT }
  }

  /** A response that new events caused is not refreshed again at once. */
  function mayRefresh (response: StoredResponse, ageMs: number): boolean {
    return ageMs >= refreshIntervalMs || !response.isRefresh
  }

  async function forward (
    request: CacheRequest,
    context: RequestContext,
    reason: ForwardReason,
    stale?: StoredResponse,
    isRefresh = false
  ): Promise<CacheResult | Failure> {
    const collapsed = forwarding.has(request.key)
    const begunIn = epoch
    const requester = context.requester()
    const flight = join(request, requester)
    const stopWatching = requester.onDisconnect?.(flight.leave)
    const outcome = await flight.outcome.finally(stopWatching)
    if (outcome.ok) {
      if (isRefresh) outcome.response.isRefresh = true
      return forwarded(outcome.response, { kind: 'forwarded', reason, collapsed }, reason)
    }
    // After a clear, not even the stale response is served: the credential that saw it was refused meanwhile.
    if (begunIn === epoch && stale !== undefined && mayServeStale(outcome, stale)) {
      return forwarded(stale, { kind: 'forwarded', reason, collapsed, detail: 'stale-if-error' }, 'stale-if-error')
    }
    instruments.cacheLookup('failed', collapsed)
    return outcome
  }

  function forwarded (
    response: StoredResponse,
    cacheStatus: CacheStatus & { kind: 'forwarded' },
    lookup: CacheLookup
  ): CacheResult {
    instruments.cacheLookup(lookup, cacheStatus.collapsed)
    return { ok: true, response, ageMs: clock.monotonicMs() - response.readMs, cacheStatus }
  }

  function mayServeStale ({ kind }: Failure, { freshMs, readMs, status }: StoredResponse): boolean {
    if (kind === 'unauthorized' || kind === 'forbidden' || status === 404) return false
    return clock.monotonicMs() - readMs < freshMs + staleMs + staleIfErrorMs
  }

  function join (request: CacheRequest, requester: Requester): Flight<Outcome> {
    return forwarding.join(request.key, async (signal, aborted) => {
      const earlier = await aborted
      return earlier?.ok === true && earlier.epoch === epoch ? earlier : produce(request, requester, signal)
    })
  }

  async function produce ({ key, produce }: CacheRequest, requester: Requester, signal: AbortSignal): Promise<Outcome> {
    const begunIn = epoch
    const outcome = await produce(requester, signal)
    if (!outcome.ok) {
      if (outcome.kind === 'unauthorized') clear()
      if (outcome.kind === 'forbidden') drop(key)
      return outcome
    }
    const response: StoredResponse = {
      ...outcome.response,
      encodings: {},
      notModified: { headers: [] },
      isRefresh: false,
      onEncoded: () => reweigh(key, response)
    }
    if (outcome.keep && begunIn === epoch && !isClosed) put(key, response)
    return { ok: true, response, epoch: begunIn }
  }

  function put (key: string, response: StoredResponse): void {
    entries?.set(key, response)
    share?.hold(heldBytes())
  }

  function drop (key: string): void {
    entries?.delete(key)
    share?.hold(heldBytes())
  }

  /** Counts a new encoding, if there is room for it beside the body. */
  function reweigh (key: string, response: StoredResponse): boolean {
    if (entries?.peek(key) !== response) return true // Not in the cache: it lives as long as its requests.
    if (weigh(response, key) > maxBytes) return false
    entries.delete(key) // `set` weighs new entries only.
    put(key, response)
    return true
  }

  function clear (): void {
    epoch++
    entries?.clear()
    share?.hold(0)
  }

  function close (): void {
    isClosed = true
    clear()
    share?.leave()
  }

  function shrink (bytes: number): number {
    const targetBytes = heldBytes() - bytes
    while (heldBytes() > targetBytes && entries?.pop() !== undefined);
    return heldBytes()
  }

  function heldBytes (): number {
    return entries?.calculatedSize ?? 0
  }

  function countEviction (_response: StoredResponse, _key: string, reason: string): void {
    if (reason === 'evict') instruments.cacheEvicted()
  }
}

function weigh (response: StoredResponse, key: string): number {
  const bodyBytes = response.status === 200 ? response.identity.body.length : 0
  return bodyBytes + encodedBytes(response) + key.length + ENTRY_OVERHEAD_BYTES
}
