import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { useApp } from '../app-context.ts'
import { SENTENCES } from '../words.ts'

const EVERY_MS = 10_000
const NOTICE_MS = 4000

/** One polite status for screen readers: what has arrived, at most every ten seconds. It can be switched off. */
export function Announcer () {
  const { list, preferences } = useApp()
  const said = useSignal('')
  const last = useRef({ events: 0, failed: 0 })
  useEffect(() => {
    const timer = setInterval(() => {
      const { events, failed } = list.arrived()
      const before = last.current
      last.current = { events, failed }
      if (events > before.events && preferences.announces.value && !document.hidden) {
        said.value = SENTENCES.announced(events - before.events, failed - before.failed)
      }
    }, EVERY_MS)
    return () => { clearInterval(timer) }
  }, [])
  return <p class='hidden' role='status' aria-live='polite'>{said}</p>
}

/** A short message that goes away by itself. */
export function Notice () {
  const { notice } = useApp()
  const shown = notice.value
  useEffect(() => {
    if (shown === '') return
    const timer = setTimeout(() => { notice.value = '' }, NOTICE_MS)
    return () => { clearTimeout(timer) }
  }, [shown])
  return <p class={shown === '' ? 'hidden' : 'toast'} role='status'>{shown}</p>
}
