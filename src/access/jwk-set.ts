import { createLocalJWKSet, createRemoteJWKSet, type JWTVerifyGetKey } from 'jose'
import type { Clock } from '../clock.ts'

export interface JwkSetOptions {
  readonly url: URL
  /** Called when the keys cannot be fetched. */
  readonly onError: (error: unknown) => void
  readonly clock: Pick<Clock, 'now' | 'setTimer'>
}

export type FetchOutcome = 'fetched' | 'failed'

/** The keys of an issuer (a JWK Set, RFC 7517 §5). The last keys stay valid until a fetch succeeds. */
export interface JwkSet {
  /** A finder over the local keys; it sends no request. `undefined`: no fetch has succeeded yet. */
  finder (): JWTVerifyGetKey | undefined
  /** Whether a local key may be the one that a token names. A token without a key id may fit any key. */
  holds (kid: string | undefined): boolean
  /** The outcome of a fetch that is too recent for another one; `undefined`: a fetch is allowed. */
  recent (): FetchOutcome | undefined
  /** Fetches the keys. Simultaneous calls share one request. */
  fetch (): Promise<FetchOutcome>
  close (): void
}

const FETCH_MS = 5000
const REST_MS = 2000 // A new key is accepted after at most this time.
const REFRESH_MS = 300_000 // A withdrawn key is accepted for at most this time.
const RETRY_MS = 10_000
const MAX_FAILURES = 3 // In a row. Then the service does not ask the issuer for `REST_MS`.

export function createJwkSet ({ clock, onError, url }: JwkSetOptions): JwkSet {
  const remote = createRemoteJWKSet(url, { timeoutDuration: FETCH_MS, cooldownDuration: 0 })
  let find: JWTVerifyGetKey | undefined
  let kids = new Set<string | undefined>()
  let pending: Promise<FetchOutcome> | undefined
  let last: { readonly outcome: FetchOutcome, readonly atMs: number } | undefined
  let failures = 0
  let cancelTimer = () => {}
  let isClosed = false
  return { finder: () => find, holds, recent, fetch, close }

  function holds (kid: string | undefined): boolean {
    return kid === undefined ? kids.size > 0 : kids.has(kid)
  }

  function recent (): FetchOutcome | undefined {
    const isRecent = pending === undefined && last !== undefined && Math.abs(clock.now() - last.atMs) < REST_MS
    return isRecent && (failures === 0 || failures >= MAX_FAILURES) ? last?.outcome : undefined
  }

  function fetch (): Promise<FetchOutcome> {
    pending ??= load().finally(() => { pending = undefined })
    return pending
  }

  async function load (): Promise<FetchOutcome> {
    const outcome = await reload()
    last = { outcome, atMs: clock.now() }
    failures = outcome === 'fetched' ? 0 : failures + 1
    cancelTimer()
    if (!isClosed && find !== undefined) {
      cancelTimer = clock.setTimer(refresh, outcome === 'fetched' ? REFRESH_MS : RETRY_MS)
    }
    return outcome
  }

  async function reload (): Promise<FetchOutcome> {
    try {
      await remote.reload()
      const keys = remote.jwks()
      if (keys === undefined) return 'failed'
      find = createLocalJWKSet(keys)
      kids = new Set(keys.keys.map(({ kid }) => kid))
      return 'fetched'
    } catch (error) {
      onError(error)
      return 'failed'
    }
  }

  function refresh (): void {
    fetch().catch(onError)
  }

  function close (): void {
    isClosed = true
    cancelTimer()
  }
}
