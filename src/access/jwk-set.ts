import { createLocalJWKSet, createRemoteJWKSet, type JWTVerifyGetKey } from 'jose'

export interface KeysOptions {
  readonly url: URL
  /** Told why keys cannot be had. */
  readonly onError: (error: unknown) => void
  /** Milliseconds since 1970. */
  readonly clock: () => number
}

/** The keys of an issuer (a JWK Set). Those that were had last count until others are had. */
export interface Keys {
  /** Finds a key at hand for a token; asks nobody. `undefined`: no key was ever had. */
  finder (): JWTVerifyGetKey | undefined
  /** Whether a key at hand may be the one that a token names; one that names none may fit any. */
  holds (kid: string | undefined): boolean
  /** What came of asking the issuer where that was a moment ago: it is left alone for now. */
  recent (): 'had' | 'failed' | undefined
  /** Asks the issuer, once however many want that. */
  ask (): Promise<'had' | 'failed'>
  close (): void
}

const FETCH_MS = 5000
const REST_MS = 2000 // A key that is new is known that soon.
const REFRESH_MS = 300_000 // A key that is withdrawn counts no longer than that.
const RETRY_MS = 10_000
const FAILURES_AT_ONCE = 3 // An issuer that fails is left alone after so many in a row.

export function createKeys ({ clock, onError, url }: KeysOptions): Keys {
  const remote = createRemoteJWKSet(url, { timeoutDuration: FETCH_MS, cooldownDuration: 0 })
  let find: JWTVerifyGetKey | undefined
  let kids = new Set<string | undefined>()
  let underWay: Promise<'had' | 'failed'> | undefined
  let last: { readonly outcome: 'had' | 'failed', readonly atMs: number } | undefined
  let failures = 0
  let timer: NodeJS.Timeout | undefined
  let isClosed = false
  return { finder: () => find, holds, recent, ask, close }

  function holds (kid: string | undefined): boolean {
    return kid === undefined ? kids.size > 0 : kids.has(kid)
  }

  function recent (): 'had' | 'failed' | undefined {
    const isRecent = underWay === undefined && last !== undefined && Math.abs(clock() - last.atMs) < REST_MS
    return isRecent && (failures === 0 || failures >= FAILURES_AT_ONCE) ? last?.outcome : undefined
  }

  function ask (): Promise<'had' | 'failed'> {
    underWay ??= load().finally(() => { underWay = undefined })
    return underWay
  }

  async function load (): Promise<'had' | 'failed'> {
    const outcome = await fetchThem()
    last = { outcome, atMs: clock() }
    failures = outcome === 'had' ? 0 : failures + 1
    clearTimeout(timer)
    if (!isClosed && find !== undefined) timer = setTimeout(refresh, outcome === 'had' ? REFRESH_MS : RETRY_MS).unref()
    return outcome
  }

  async function fetchThem (): Promise<'had' | 'failed'> {
    try {
      await remote.reload()
      const had = remote.jwks()
      if (had === undefined) return 'failed'
      find = createLocalJWKSet(had)
      kids = new Set(had.keys.map(({ kid }) => kid))
      return 'had'
    } catch (error) {
      onError(error)
      return 'failed'
    }
  }

  function refresh (): void {
    ask().catch(onError)
  }

  function close (): void {
    isClosed = true
    clearTimeout(timer)
  }
}
