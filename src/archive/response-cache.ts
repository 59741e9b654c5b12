import { LRUCache } from 'lru-cache'
import type { Requester } from '../audit/requester.ts'
import type { BytePool } from '../audit/byte-pool.ts'
import type { Failure } from '../audit/source.ts'
import type { TimeRange } from '../audit/time-range.ts'
import type { Instruments, CacheLookup } from '../instruments.ts'
import type { ContentCoding, Compress } from './content-encoding.ts'
import { createEncodings } from './cached-encodings.ts'

/** A prepared answer. */
export interface StoredResponse {
  /** Ready to send; empty when nothing was found. */
  readonly body: Buffer
  /** Set when there is nothing to send: what was looked through in vain. */
  readonly missing?: Missing
  /** Milliseconds of monotonic time at which Kubiya had answered. */
  readonly readMs: number
  readonly freshMs: number
  /** Where the log stood before Kubiya was asked; set where new events can change the answer. */
  readonly logPosition?: LogPosition
  /** Weak, over what the answer is about. */
  readonly etag: string
  /** All headers that stay the same as long as the entry is kept, `etag` among them. */
  readonly headers: Readonly<Record<string, string>>
}

export interface Missing {
  readonly window: TimeRange
  readonly scanned: number
  readonly complete: boolean
}

export interface LogPosition {
  readonly epoch: string
  readonly offset: number
}

/** How a request was answered, as RFC 9211 describes it. */
export type CacheStatus =
  | { readonly kind: 'hit', readonly detail?: 'stale-while-revalidate' | 'stale-if-error' }
  | {
    readonly kind: 'forwarded',
    readonly reason: 'miss' | 'stale' | 'request',
    readonly collapsed: boolean,
    readonly detail?: 'stale-if-error'
  }

export interface CacheResult {
  readonly ok: true
  readonly entry: StoredResponse
  readonly ageMs: number
  readonly handling: CacheStatus
}

export interface ResponseCacheOptions {
  readonly maxBytes: number
  /** What all caches hold together, where there are several. */
  readonly pool?: BytePool
  readonly staleMs: number
  readonly staleIfErrorMs: number
  /** Least time between two refreshes of one key that new events cause. */
  readonly refreshIntervalMs: number
  readonly compress: Compress
  readonly nowMs: () => number
  readonly instruments: Pick<Instruments, 'cacheLookup' | 'cacheEvicted'>
  /** Told of what nobody waits for. */
  readonly onError: (error: unknown) => void
}

export interface CacheRequest {
  readonly key: string
  /**
   * Makes the answer at the cost of the first who asked, for all who wait. The signal: all have gone. `keep: false`: it
   * is forgotten.
   */
  readonly produce: (
    requester: Requester,
    signal: AbortSignal
  ) => Promise<{ readonly ok: true, readonly entry: StoredResponse, readonly keep: boolean } | Failure>
  /** Whether an event has come that the entry would have to show. */
  readonly isInvalidated: (entry: StoredResponse) => boolean
}

export interface ResponseCache {
  /** What is at hand is served at once; a promise says that Kubiya is asked. `noCache`: the caller wants that. */
  serve (request: CacheRequest, noCache: boolean, requester: Requester): CacheResult | Promise<CacheResult | Failure>
  /** The body of an entry in a coding, at once if it was made before; `undefined` where it cannot be made. */
  encoded (entry: StoredResponse, coding: ContentCoding): Buffer | Promise<Buffer | undefined>
  /** Forgets everything, as after a refused credential. */
  clear (): void
  /** Forgets everything, and keeps nothing from now on. */
  close (): void
  /** How much is on it. */
  stock (): { readonly entries: number, readonly bytes: number }
}

/** An answer in the making. */
interface Flight {
  readonly outcome: ReturnType<CacheRequest['produce']>
  /** Those who wait for it, and whoever cannot tell that it has gone. */
  waiting: number
  readonly controller: AbortController
}

const ENTRY_OVERHEAD_BYTES = 1536 // Its heads, keys and objects, measured; 1024 were 340 to 600 too few.
const FORCED_INTERVAL_MS = 1000
const HIT: CacheStatus = { kind: 'hit' }
const STALE_HIT: CacheStatus = { kind: 'hit', detail: 'stale-while-revalidate' }

/**
 * Keeps prepared answers and their encodings, bounded by bytes. A key is produced by one call at a time, whoever asks
 * and whoever hangs up. Fresh entries are served; then stale ones while they are refreshed; then stale ones if Kubiya
 * fails, except that a refused credential (401) empties the cache and a refused question (403) drops its entry.
 */
export function createResponseCache (options: ResponseCacheOptions): ResponseCache {
  const { maxBytes, instruments, nowMs, staleIfErrorMs, staleMs } = options
  const encodings = createEncodings({ compress: options.compress, onMade: reweigh, onError: options.onError })
  const entries = maxBytes === 0
    ? undefined
    : new LRUCache<string, StoredResponse>({ maxSize: maxBytes, sizeCalculation: weigh, dispose: noteEviction })
  const share = options.pool?.join({ shrink })
  const keys = new WeakMap<StoredResponse, string>()
  const flights = new Map<string, Flight>()
  const refreshed = new WeakSet<StoredResponse>() // Entries made because events had come: not to be outdone at once.
  let generation = 0 // Counts clearings: what was asked for before one is not kept after it.
  let isClosed = false

  return {
    serve,
    encoded: encodings.get,
    clear,
    close,
    stock: () => ({ entries: entries?.size ?? 0, bytes: heldBytes() })
  }

  function clear (): void {
    generation++
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

  function serve (
    request: CacheRequest,
    noCache: boolean,
    requester: Requester
  ): CacheResult | Promise<CacheResult | Failure> {
    const entry = entries?.get(request.key)
    if (entry === undefined) return forward(request, requester, 'miss', undefined)
    const ageMs = nowMs() - entry.readMs
    // That there is none may be said only as long as it is fresh: a failing Kubiya is never turned into "not found".
    if (entry.missing !== undefined && ageMs >= entry.freshMs) return forward(request, requester, 'miss', undefined)
    if (noCache && ageMs >= FORCED_INTERVAL_MS) return forward(request, requester, 'request', entry)
    if (isDue(entry, ageMs) && request.isInvalidated(entry)) return forward(request, requester, 'stale', entry, true)
    if (ageMs < entry.freshMs) {
      instruments.cacheLookup('hit', false)
      return { ok: true, entry, ageMs, handling: HIT }
    }
    if (ageMs >= entry.freshMs + staleMs) return forward(request, requester, 'stale', entry)
    join(request, requester).outcome.catch(options.onError) // Not waited for; a failure leaves the entry as it is.
    instruments.cacheLookup('stale-while-revalidate', false)
    return { ok: true, entry, ageMs, handling: STALE_HIT }
  }

  function isDue (entry: StoredResponse, ageMs: number): boolean {
    return ageMs >= options.refreshIntervalMs || !refreshed.has(entry)
  }

  async function forward (
    request: CacheRequest,
    requester: Requester,
    reason: 'miss' | 'stale' | 'request',
    stale: StoredResponse | undefined,
    isRefresh = false
  ): Promise<CacheResult | Failure> {
    const collapsed = flights.has(request.key)
    const begunIn = generation
    const flight = join(request, requester)
    const stay = requester.onDisconnect?.(() => leave(flight))
    const outcome = await flight.outcome.finally(stay)
    if (outcome.ok) {
      if (isRefresh) refreshed.add(outcome.entry)
      return served(outcome.entry, { kind: 'forwarded', reason, collapsed }, reason)
    }
    // The credential was refused meanwhile: what it had seen is not shown.
    if (begunIn === generation && stale !== undefined && mayServeStale(outcome, stale)) {
      return served(stale, { kind: 'forwarded', reason, collapsed, detail: 'stale-if-error' }, 'stale-if-error')
    }
    instruments.cacheLookup('failed', collapsed)
    return outcome
  }

  function served (
    entry: StoredResponse,
    handling: CacheStatus & { kind: 'forwarded' },
    result: CacheLookup
  ): CacheResult {
    instruments.cacheLookup(result, handling.collapsed)
    return { ok: true, entry, ageMs: nowMs() - entry.readMs, handling }
  }

  function noteEviction (_entry: StoredResponse, _key: string, reason: string): void {
    if (reason === 'evict') instruments.cacheEvicted()
  }

  function join (request: CacheRequest, requester: Requester): Flight {
    const { key } = request
    const underWay = flights.get(key)
    if (underWay !== undefined && !underWay.controller.signal.aborted) {
      underWay.waiting++
      return underWay
    }
    const begunIn = generation
    const controller = new AbortController()
    const outcome = produce(request, requester, controller.signal, underWay).then((outcome) => {
      if (outcome.ok && outcome.keep && begunIn === generation) put(key, outcome.entry)
      if (!outcome.ok && outcome.kind === 'unauthorized') clear()
      if (!outcome.ok && outcome.kind === 'forbidden') drop(key)
      return outcome
    }).finally(() => { if (flights.get(key) === flight) flights.delete(key) })
    const flight: Flight = { outcome, waiting: 1, controller }
    flights.set(key, flight)
    return flight
  }

  /** Where all have gone who waited for one, it may be given up, or may come all the same. */
  async function produce (
    request: CacheRequest,
    requester: Requester,
    signal: AbortSignal,
    givenUp: Flight | undefined
  ): ReturnType<CacheRequest['produce']> {
    const before = await givenUp?.outcome
    return before?.ok === true ? before : request.produce(requester, signal)
  }

  /** One who waited has gone. */
  function leave (flight: Flight): void {
    if (--flight.waiting === 0) flight.controller.abort()
  }

  function mayServeStale (failure: Failure, entry: StoredResponse): boolean {
    if (failure.kind === 'unauthorized' || failure.kind === 'forbidden' || entry.missing !== undefined) return false
    return nowMs() - entry.readMs < entry.freshMs + staleMs + staleIfErrorMs
  }

  function put (key: string, entry: StoredResponse): void {
    if (isClosed) return
    keys.set(entry, key)
    entries?.set(key, entry)
    share?.hold(heldBytes())
  }

  function drop (key: string): void {
    entries?.delete(key)
    share?.hold(heldBytes())
  }

  /** Counts an encoding that an entry has got, if there is room for it beside the body. */
  function reweigh (entry: StoredResponse): boolean {
    const key = keys.get(entry)
    if (key === undefined || entries?.peek(key) !== entry) return true // It lives as long as those who wait for it.
    if (weigh(entry, key) > maxBytes) return false
    entries.delete(key) // The cache asks for the weight of what is new only.
    entries.set(key, entry)
    share?.hold(heldBytes())
    return true
  }

  function weigh (entry: StoredResponse, key: string): number {
    return entry.body.length + encodings.bytes(entry) + key.length + ENTRY_OVERHEAD_BYTES
  }
}
