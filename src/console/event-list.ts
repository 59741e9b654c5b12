import { effect, signal, untracked, type ReadonlySignal } from '@preact/signals'
import type { Api, EventPage, Trouble } from './api.ts'
import { createLiveTail, type LiveState, type LiveTail, type LiveTailOptions } from './live-tail.ts'
import { retryMs } from './retry.ts'
import { createRowView, type RowView } from './row-view.ts'
import { queryOf, type UrlState } from './url-state.ts'

export interface ListQuery extends Pick<UrlState, 'filter' | 'start' | 'end'> {
  /** Whether new events are followed. Without effect where there is an end. */
  readonly isLive: boolean
}

export interface EventListOptions extends Omit<LiveTailOptions, 'base' | 'rows'> {
  readonly api: Api
  /** `undefined` while nobody looks. */
  readonly query: ReadonlySignal<ListQuery | undefined>
}

/** The list of events: past and live in one. */
export interface EventList extends RowView, Pick<LiveTail, 'arrived' | 'eventsPerSecond'> {
  readonly live: ReadonlySignal<LiveState>
  readonly trouble: ReadonlySignal<Trouble | undefined>
  readonly isLoading: ReadonlySignal<boolean>
  /** Whether Kubiya has older events of the query than the list holds. */
  readonly hasOlder: ReadonlySignal<boolean>
  /** Whether the last page had a row, new or not. A page without one needs a person to go on: a search may be long. */
  readonly hasBrought: ReadonlySignal<boolean>
  /** Whether older rows have no room. */
  isFull (): boolean
  loadOlder (): void
  reload (): void
}

const PAGE_SIZE = 100
const BOUNDS = { maxRows: 100_000, maxBytes: 64 * 1024 * 1024 }

/**
 * Lists a page, then follows the stream from its `live_cursor`. Pages that are read later go on behind the oldest row.
 * So past and live are one list without a hole; a gap of the stream is a row.
 */
export function createEventList ({ api, query: asked, ...tailOptions }: EventListOptions): EventList {
  const trouble = signal<Trouble | undefined>(undefined)
  const isLoading = signal(false)
  const hasOlder = signal(false)
  const hasBrought = signal(false)
  const turn = signal(0)
  const rows = createRowView(BOUNDS)
  const tail = createLiveTail({ base: api.base, rows, ...tailOptions })
  let next: string | undefined
  let aborting = new AbortController()

  effect(() => {
    const query = asked.value
    void turn.value
    aborting.abort()
    aborting = new AbortController()
    const { signal: abort } = aborting
    untracked(() => {
      rows.clear()
      next = undefined
      hasOlder.value = false
      isLoading.value = false
      trouble.value = undefined
      tail.reset(query !== undefined && isFollowed(query))
    })
    if (query !== undefined) void begin(query, abort, 0)
  })

  return {
    ...rows.view,
    live: tail.state,
    arrived: tail.arrived,
    eventsPerSecond: tail.eventsPerSecond,
    trouble,
    isLoading,
    hasOlder,
    hasBrought,
    isFull: rows.isFull,
    loadOlder,
    reload
  }

  async function begin (query: ListQuery, abort: AbortSignal, failures: number): Promise<void> {
    const page = await load(api.events({ ...queryOf(query), page_size: PAGE_SIZE }, abort), abort)
    if (abort.aborted) return
    if (page !== undefined) {
      const { live_cursor: since } = page
      if (since !== undefined && isFollowed(query)) await tail.follow(query.filter, since, abort)
      return
    }
    const waitMs = trouble.value === undefined ? undefined : retryMs(trouble.value, failures + 1)
    if (waitMs === undefined) return tail.reset(false)
    const timer = setTimeout(() => { void begin(query, abort, failures + 1) }, waitMs)
    abort.addEventListener('abort', () => { clearTimeout(timer) }, { once: true })
  }

  function loadOlder (): void {
    const query = asked.peek()
    if (query === undefined || next === undefined || isLoading.value || rows.isFull()) return
    const { signal: abort } = aborting
    void load(api.eventsBehind(next, query.filter.text !== undefined, abort), abort).then(() => {
      // The service no longer accepts the cursor, so the list starts again.
      if (!abort.aborted && trouble.value?.code === 'invalid-cursor') reload()
    })
  }

  /** Takes the rows of a page. `undefined`: it failed, or nobody wants it any more. */
  async function load (answering: ReturnType<Api['events']>, abort: AbortSignal): Promise<EventPage | undefined> {
    isLoading.value = true
    const answer = await answering
    if (abort.aborted) return undefined
    isLoading.value = false
    trouble.value = answer.ok ? undefined : answer.trouble
    if (!answer.ok) return undefined
    const { items, pagination } = answer.data
    rows.addPage(items, pagination.skipped)
    hasBrought.value = items.length > 0
    next = pagination.next_cursor ?? undefined
    hasOlder.value = next !== undefined
    return answer.data
  }

  function reload (): void {
    turn.value = untracked(() => turn.value) + 1
  }
}

/** Whether a list follows new events. */
export function isFollowed ({ end, isLive }: Pick<ListQuery, 'end' | 'isLive'>): boolean {
  return isLive && end === undefined
}
