import { signal, type ReadonlySignal } from '@preact/signals'
import { msOf } from './time-format.ts'
import { readUrlState, writeUrlState, type UrlState } from './url-state.ts'

/** The URL of the page as its state. */
export interface Navigation {
  readonly url: ReadonlySignal<UrlState>
  /** Changes the URL. The Back key undoes a `push`. */
  go (change: Partial<UrlState>, how?: 'push' | 'replace'): void
}

/** How far around an instant the page looks. */
export const AROUND_MS = 300_000

export function createNavigation (): Navigation {
  const url = signal(readUrlState(location.search))
  window.addEventListener('popstate', () => { url.value = readUrlState(location.search) })
  openInstant()
  return { url, go }

  function go (change: Partial<UrlState>, how: 'push' | 'replace' = 'push'): void {
    const state = { ...url.value, ...change }
    const written = writeUrlState(state)
    if (written === writeUrlState(url.value)) return
    history[how === 'push' ? 'pushState' : 'replaceState'](null, '', `${location.pathname}${written}`)
    url.value = state
  }

  /** A link may name an instant in place of an event: it shows what happened around it. */
  function openInstant (): void {
    const ms = msOf(url.value.event)
    if (ms === undefined) return
    const [start, end] = [ms - AROUND_MS, ms + AROUND_MS].map((each) => new Date(each).toISOString())
    go({ event: undefined, start, end }, 'replace')
  }
}
