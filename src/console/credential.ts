import { signal, type ReadonlySignal } from '@preact/signals'

/** The credential of the person at the page. It is in memory, and in `sessionStorage` only if the person wants that. */
export interface Credential {
  /** The value of `Authorization`, `Bearer …` or `UserKey …`. */
  readonly value: ReadonlySignal<string | undefined>
  /** Whether the service has asked for one and there is none that it accepts. */
  readonly isWanted: ReadonlySignal<boolean>
  /** The schemes that the service accepts. */
  readonly schemes: ReadonlySignal<readonly string[]>
  /** Whether the last one was refused. */
  readonly isRefused: ReadonlySignal<boolean>
  /** How many credentials of a proxy have ended. What was read with them is read anew. */
  readonly ended: ReadonlySignal<number>
  set (value: string, isKept: boolean): void
  forget (): void
  /** The service answered 401. */
  refused (schemes: readonly string[]): void
  /**
   * The service refused a stream. A proxy in front may already add the next credential, if the stream `wasOpen`. Where
   * the next stream ends as soon, it does not: otherwise the page would open one stream after the other.
   */
  streamRefused (wasOpen: boolean): void
}

const KEY = 'kubiya-audit-credential'
const LEAST_LIFE_MS = 5000

export function createCredential (storage: Storage | undefined): Credential {
  const value = signal(read())
  const isWanted = signal(false)
  const isRefused = signal(false)
  const ended = signal(0)
  let endedMs = -Infinity
  const schemes = signal<readonly string[]>(['Bearer'])

  return { value, isWanted, schemes, isRefused, ended, set, forget, refused, streamRefused }

  function set (given: string, isKept: boolean): void {
    value.value = given
    isWanted.value = false
    isRefused.value = false
    if (isKept) write(given)
  }

  function forget (): void {
    value.value = undefined
    isWanted.value = true
    isRefused.value = false
    write(undefined)
  }

  function refused (wanted: readonly string[]): void {
    if (wanted.length > 0) schemes.value = wanted
    isRefused.value = value.value !== undefined || isRefused.value
    value.value = undefined
    isWanted.value = true
    write(undefined)
  }

  function streamRefused (wasOpen: boolean): void {
    const hasLasted = performance.now() - endedMs > LEAST_LIFE_MS
    if (!wasOpen || !hasLasted || value.value !== undefined || isWanted.value) return refused([])
    endedMs = performance.now()
    ended.value++
  }

  function read (): string | undefined {
    try {
      return storage?.getItem(KEY) ?? undefined
    } catch {
      return undefined
    }
  }

  function write (given: string | undefined): void {
    try {
      if (given === undefined) storage?.removeItem(KEY)
      else storage?.setItem(KEY, given)
    } catch {} // Storage may be forbidden. The credential then lives as long as the page.
  }
}
