import { createContext } from 'preact'
import { useContext, useEffect } from 'preact/hooks'
import { useSignal, type ReadonlySignal } from '@preact/signals'
import type { App } from './app-state.ts'

export const AppContext = createContext<App | undefined>(undefined)

export function useApp (): App {
  const app = useContext(AppContext)
  if (app === undefined) throw new Error('the page has no state')
  return app
}

/** The time, read again and again while the page is visible. */
export function useNow (everyMs: number): ReadonlySignal<number> {
  const now = useSignal(Date.now())
  useEffect(() => {
    const timer = setInterval(() => { if (!document.hidden) now.value = Date.now() }, everyMs)
    return () => { clearInterval(timer) }
  }, [everyMs])
  return now
}

/** Whether a media query matches now. */
export function useMedia (query: string): boolean {
  const matches = useSignal(matchMedia(query).matches)
  useEffect(() => {
    const list = matchMedia(query)
    const onChange = () => { matches.value = list.matches }
    list.addEventListener('change', onChange)
    return () => { list.removeEventListener('change', onChange) }
  }, [query])
  return matches.value
}
