import { effect, signal, type Signal } from '@preact/signals'

/** What a person has chosen once for all visits. The browser keeps it; it holds nothing of the events. */
export interface Preferences {
  readonly theme: Signal<'system' | 'light' | 'dark'>
  /** Whether single keys such as `j` and `/` do something (WCAG 2.1.4). */
  readonly singleKeys: Signal<boolean>
  /** Whether new events are announced to screen readers. */
  readonly announces: Signal<boolean>
}

const KEY = 'kubiya-audit-console'

export function createPreferences (storage: Pick<Storage, 'getItem' | 'setItem'> | undefined): Preferences {
  const stored = read(storage)
  const theme = stored.theme
  const preferences: Preferences = {
    theme: signal(theme === 'light' || theme === 'dark' ? theme : 'system'),
    singleKeys: signal(stored.singleKeys !== false),
    announces: signal(stored.announces !== false)
  }
  effect(() => {
    const written = Object.fromEntries(Object.entries(preferences).map(([name, each]) => [name, each.value]))
    try {
      storage?.setItem(KEY, JSON.stringify(written))
    } catch {} // Storage may be full or forbidden. The page works without it.
  })
  return preferences
}

function read (storage: Pick<Storage, 'getItem'> | undefined): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(storage?.getItem(KEY) ?? '{}')
    return typeof parsed === 'object' && parsed !== null ? { ...parsed } : {}
  } catch {
    return {}
  }
}
