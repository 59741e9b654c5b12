import { LRUCache } from 'lru-cache'
import type { BytePool } from '../audit/byte-pool.ts'
import { encodedBytes } from './content-encoding.ts'
import type { CacheableResponse, StoredResponse } from './stored-response.ts'

export interface ResponseStoreOptions {
  /** 0: nothing is stored. */
  readonly maxBytes: number
  /** The bound on all stores together, if there are several. */
  readonly pool?: BytePool
  /** An entry was evicted to make room. */
  readonly onEvicted: () => void
}

/** Responses with their encodings by key, bounded by bytes; the least recently used one is evicted first. */
export interface ResponseStore {
  get (key: string): StoredResponse | undefined
  /** Like `get`, without counting as a use. */
  peek (key: string): StoredResponse | undefined
  /** Stores a response, unless the store was cleared after that epoch, or closed. */
  set (key: string, response: StoredResponse, epoch: number): void
  delete (key: string): void
  /** Completes a response with what the cache records of it. A new encoding counts only for a response in the store. */
  toStored (key: string, response: CacheableResponse, forwardedMs: number): StoredResponse
  /** Grows with each clear: what began before a clear leaves nothing behind. */
  epoch (): number
  clear (): void
  /** Clears the store, which stores nothing from now on. */
  close (): void
  usage (): { readonly entries: number, readonly bytes: number }
}

const ENTRY_OVERHEAD_BYTES = 1536 // Measured: headers, key and objects of one entry.

export function createResponseStore ({ maxBytes, onEvicted, pool }: ResponseStoreOptions): ResponseStore {
  const entries = maxBytes === 0
    ? undefined
    : new LRUCache<string, StoredResponse>({
      maxSize: maxBytes,
      sizeCalculation: weigh,
      dispose: (_response, _key, reason) => { if (reason === 'evict') onEvicted() }
    })
  const share = pool?.join({ shrink })
  let epoch = 0
  let isClosed = false

  return {
    get: (key) => entries?.get(key),
    peek: (key) => entries?.peek(key),
    set (key, response, madeIn) {
      if (madeIn === epoch && !isClosed) put(key, response)
    },
    delete (key) {
      entries?.delete(key)
      share?.hold(heldBytes())
    },
    toStored,
    epoch: () => epoch,
    clear,
    close () {
      isClosed = true
      clear()
      share?.leave()
    },
    usage: () => ({ entries: entries?.size ?? 0, bytes: heldBytes() })
  }

  function clear (): void {
    epoch++
    entries?.clear()
    share?.hold(0)
  }

  function put (key: string, response: StoredResponse): void {
    entries?.set(key, response)
    share?.hold(heldBytes())
  }

  function toStored (key: string, made: CacheableResponse, forwardedMs: number): StoredResponse {
    const response: StoredResponse = {
      ...made,
      forwardedMs,
      encodings: {},
      notModified: { headers: [] },
      isRefresh: false,
      onEncoded: () => reweigh(key, response)
    }
    return response
  }

  /** Counts a new encoding, if there is room for it beside the body. */
  function reweigh (key: string, response: StoredResponse): boolean {
    if (entries?.peek(key) !== response) return true // Not in the store: it lives as long as its requests.
    if (weigh(response, key) > maxBytes) return false
    entries.delete(key) // `set` weighs new entries only.
    put(key, response)
    return true
  }

  function shrink (bytes: number): number {
    const targetBytes = heldBytes() - bytes
    while (heldBytes() > targetBytes && entries?.pop() !== undefined);
    return heldBytes()
  }

  function heldBytes (): number {
    return entries?.calculatedSize ?? 0
  }
}

function weigh (response: StoredResponse, key: string): number {
  const bodyBytes = response.status === 200 ? response.identity.body.length : 0
  return bodyBytes + encodedBytes(response) + key.length + ENTRY_OVERHEAD_BYTES
}
