import { LRUCache } from 'lru-cache'
import type { Failure } from '../audit/source.ts'
import type { TimeWindow } from '../audit/window.ts'

/** A prepared answer. */
export interface Entry {
  /** Ready to send; empty when nothing was found. */
  readonly body: Buffer
  /** Set when there is nothing to send: what was looked through in vain. */
  readonly missing?: Missing
  /** Weak, over what the answer is about. */
  readonly etag: string
  /** Milliseconds of monotonic time at which Kubiya had answered. */
  readonly readMs: number
  readonly freshMs: number
  /** Whether it may be kept by the caller for as long as it is fresh here. */
  readonly storable: boolean
  /** Where the log stood before Kubiya was asked; set where new events can change the answer. */
  readonly logPosition?: LogPosition
  /** Further headers that go with it. */
  readonly headers: Record<string, string>
}

export interface Missing {
  readonly window: TimeWindow
  readonly scanned: number
  readonly complete: boolean
}

export interface LogPosition {
  readonly epoch: string
  readonly offset: number
}

/** How a request was answered, as RFC 9211 describes it. */
export type Handling =
  | { readonly kind: 'hit', readonly detail?: 'stale-while-revalidate' }
  | { readonly kind: 'forwarded', readonly reason: 'miss' | 'stale' | 'request', readonly collapsed: boolean, readonly detail?: 'stale-if-error' }

export interface Served {
  readonly ok: true
  readonly entry: Entry
  readonly ageMs: number
  readonly handling: Handling
}

export interface ShelfOptions {
  readonly maxBytes: number
  readonly staleMs: number
  readonly staleIfErrorMs: number
  /** Least time between two refreshes of one key that new events cause. */
  readonly refreshIntervalMs: number
  readonly nowMs: () => number
  /** Told of what nobody waits for. */
  readonly onError: (error: unknown) => void
}

export interface ShelfRequest {
  readonly key: string
  /** Makes the answer; called once however many wait for it. `keep: false` gives it to those and forgets it. */
  readonly produce: () => Promise<{ readonly ok: true, readonly entry: Entry, readonly keep: boolean } | Failure>
  /** Whether an event has come that the entry would have to show. */
  readonly isOutdated: (entry: Entry) => boolean
  /** The caller wants an answer that is checked with Kubiya. */
  readonly noCache: boolean
}

export interface Shelf {
  serve (request: ShelfRequest): Promise<Served | Failure>
  /** Forgets everything, as after a refused credential. */
  clear (): void
}

const ENTRY_OVERHEAD_BYTES = 1024
const FORCED_INTERVAL_MS = 1000

/**
 * Keeps prepared answers, bounded by bytes. A key is produced by one call at a time, whoever asks and whoever hangs up.
 * Fresh entries are served; then stale ones while they are refreshed; then stale ones if Kubiya fails, except that a
 * refused credential (401) empties the shelf and a refused question (403) drops its entry.
 */
export function createShelf (options: ShelfOptions): Shelf {
  const { nowMs, staleIfErrorMs, staleMs } = options
  const entries = options.maxBytes === 0
    ? undefined
    : new LRUCache<string, Entry>({
      maxSize: options.maxBytes,
      sizeCalculation: (entry, key) => entry.body.length + key.length + ENTRY_OVERHEAD_BYTES
    })
  const flights = new Map<string, ReturnType<ShelfRequest['produce']>>()
  const refreshed = new WeakSet<Entry>() // Entries made because events had come: not to be outdone at once.
  let generation = 0 // Counts clearings: what was asked for before one is not kept after it.

  return { serve, clear }

  function clear (): void {
    generation++
    entries?.clear()
  }

  async function serve (request: ShelfRequest): Promise<Served | Failure> {
    const entry = entries?.get(request.key)
    const ageMs = nowMs() - (entry?.readMs ?? 0)
    // That there is none may be said only as long as it is fresh: a failing Kubiya is never turned into "not found".
    if (entry === undefined || (entry.missing !== undefined && ageMs >= entry.freshMs)) return forward(request, 'miss', undefined)
    if (request.noCache && ageMs >= FORCED_INTERVAL_MS) return forward(request, 'request', entry)
    if (isDue(entry, ageMs) && request.isOutdated(entry)) return forward(request, 'stale', entry, true)
    if (ageMs < entry.freshMs) return hit(entry)
    if (ageMs >= entry.freshMs + staleMs) return forward(request, 'stale', entry)
    produceOnce(request).catch(options.onError) // Not waited for; a failure leaves the entry as it is.
    return { ...hit(entry), handling: { kind: 'hit', detail: 'stale-while-revalidate' } }
  }

  function isDue (entry: Entry, ageMs: number): boolean {
    return !refreshed.has(entry) || ageMs >= options.refreshIntervalMs
  }

  async function forward (request: ShelfRequest, reason: 'miss' | 'stale' | 'request', stale: Entry | undefined, isRefresh = false): Promise<Served | Failure> {
    const collapsed = flights.has(request.key)
    const outcome = await produceOnce(request)
    if (outcome.ok) {
      if (isRefresh) refreshed.add(outcome.entry)
      return { ok: true, entry: outcome.entry, ageMs: nowMs() - outcome.entry.readMs, handling: { kind: 'forwarded', reason, collapsed } }
    }
    if (stale === undefined || !mayServeStale(outcome, stale)) return outcome
    return { ...hit(stale), handling: { kind: 'forwarded', reason, collapsed, detail: 'stale-if-error' } }
  }

  function produceOnce (request: ShelfRequest): ReturnType<ShelfRequest['produce']> {
    const { key } = request
    const underWay = flights.get(key)
    if (underWay !== undefined) return underWay
    const begunIn = generation
    const flight = request.produce().then((outcome) => {
      if (outcome.ok && outcome.keep && begunIn === generation) entries?.set(key, outcome.entry)
      if (!outcome.ok && outcome.kind === 'unauthorized') clear()
      if (!outcome.ok && outcome.kind === 'forbidden') entries?.delete(key)
      return outcome
    }).finally(() => flights.delete(key))
    flights.set(key, flight)
    return flight
  }

  function mayServeStale (failure: Failure, entry: Entry): boolean {
    if (failure.kind === 'unauthorized' || failure.kind === 'forbidden' || entry.missing !== undefined) return false
    return nowMs() - entry.readMs < entry.freshMs + staleMs + staleIfErrorMs
  }

  function hit (entry: Entry): Served {
    return { ok: true, entry, ageMs: nowMs() - entry.readMs, handling: { kind: 'hit' } }
  }
}
