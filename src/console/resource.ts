import { computed, effect, signal, untracked, type ReadonlySignal } from '@preact/signals'
import type { Answer, Trouble } from './api.ts'
import { retryMs } from './retry.ts'

export interface ResourceOptions<Query, Data> {
  /** What is asked; `undefined` while nobody looks. */
  readonly query: ReadonlySignal<Query | undefined>
  readonly load: (query: Query, signal: AbortSignal) => Promise<Answer<Data>>
  /** The wait until the next load, milliseconds; `undefined`: none. */
  readonly reloadMs?: (data: Data, load: Load<Query>) => number | undefined
}

/** What is known of a load that succeeded. */
export interface Load<Query> {
  readonly query: Query
  readonly isFromMemory: boolean
  /** How many loads of this query there were, this one among them. */
  readonly serial: number
}

/** What a query gave, kept up to date while it is looked at. Data of an earlier query stays until the next is there. */
export interface Resource<Data> {
  readonly data: ReadonlySignal<Data | undefined>
  readonly trouble: ReadonlySignal<Trouble | undefined>
  readonly isLoading: ReadonlySignal<boolean>
  reload (): void
  /** Forgets the data. */
  clear (): void
  /** Ends every load and wait. */
  dispose (): void
}

/** Loads when the query changes, again after a wait, and after a failure. A hidden page waits. */
export function createResource<Query, Data> (options: ResourceOptions<Query, Data>): Resource<Data> {
  const data = signal<Data | undefined>(undefined)
  const trouble = signal<Trouble | undefined>(undefined)
  const isLoading = signal(false)
  const turn = signal(0)
  let failures = 0
  let serial = 0
  let lastKey: string | undefined

  const dispose = effect(() => {
    const query = options.query.value
    void turn.value
    if (query === undefined) return
    const key = JSON.stringify(query)
    if (key !== lastKey) failures = serial = 0
    lastKey = key
    serial++
    const aborting = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    untracked(() => { isLoading.value = true })
    void options.load(query, aborting.signal).then((answer) => {
      if (aborting.signal.aborted) return
      isLoading.value = false
      trouble.value = answer.ok ? undefined : answer.trouble
      failures = answer.ok ? 0 : failures + 1
      if (answer.ok) data.value = answer.data
      const waitMs = answer.ok
        ? options.reloadMs?.(answer.data, { query, isFromMemory: answer.isFromMemory, serial })
        : retryMs(answer.trouble, failures)
      if (waitMs !== undefined) timer = setTimeout(reloadWhenVisible, waitMs)
    })
    return () => {
      aborting.abort()
      clearTimeout(timer)
    }
  })

  return { data, trouble, isLoading, reload, clear, dispose }

  function reload (): void {
    turn.value = untracked(() => turn.value) + 1
  }

  function clear (): void {
    data.value = undefined
    trouble.value = undefined
  }

  function reloadWhenVisible (): void {
    if (!document.hidden) return reload()
    document.addEventListener('visibilitychange', reloadWhenVisible, { once: true })
  }
}

/** A computed value that changes only when its JSON does. */
export function stable<Value> (compute: () => Value | undefined): ReadonlySignal<Value | undefined> {
  const key = computed(() => JSON.stringify(compute()))
  return computed(() => key.value === undefined ? undefined : JSON.parse(key.value) as Value)
}
