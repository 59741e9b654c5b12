import { signal, untracked, type ReadonlySignal } from '@preact/signals'
import type { GapFrame, PublishedEvent } from '../client/types.ts'
import { createRowLog, type Gap, type Pending, type Row, type RowLog, type RowLogOptions } from './row-log.ts'

// In a burst each painting replaces most rows, and nobody can read them. So the page mostly rests, and answers quickly.
const LEAST_REST_MS = 50
const MOST_REST_MS = 500
const REST_OF_WORK = 9

/** Why the view stands still. */
export type PauseReason = 'person' | 'scroll' | 'selection' | 'detail'

/**
 * What the list shows of its rows: paused on request, with one active row. Who reads it while rendering is rendered
 * again when it has changed, at most every 50 ms. After a painting that took long it rests longer.
 */
export interface RowView {
  readonly isPaused: ReadonlySignal<boolean>
  /** The row that the keys move. */
  readonly activeId: ReadonlySignal<string | undefined>
  /** The rows to show, oldest first. Do not keep them: they change. */
  rows (): readonly Row[]
  pending (): Pending
  pause (reason: PauseReason): void
  /** Takes one reason back. The view goes on when none is left. */
  unpause (reason: PauseReason): void
  resume (): void
  /** The place of the active row from the newest, 0 first; −1 where there is none. */
  indexOfActive (): number
  /** Makes another row active: `by` rows further down, towards older ones. */
  moveActive (by: number): void
  activate (row: Pick<Row, 'id'>): void
  /** The event of this id or the one beside it, where it is in the list. */
  eventBeside (id: string, by: -1 | 0 | 1): PublishedEvent | undefined
}

/** The view, and what fills it. */
export interface FilledRowView {
  readonly view: RowView
  /** False: the event is there already. */
  add (event: PublishedEvent, isLate: boolean): boolean
  /** Adds the events of a page, newest first, and what it lacks. A paused view shows them too. */
  addPage (events: readonly PublishedEvent[], skipped?: readonly Gap[]): void
  addGap (gap: GapFrame): void
  addReconnect (atMs: number): void
  clear (): void
  ids (): readonly string[]
  /** Whether older rows have no room. */
  isFull (): boolean
}

export function createRowView (bounds: RowLogOptions): FilledRowView {
  const version = signal(0)
  const isPaused = signal(false)
  const activeId = signal<string | undefined>(undefined)
  const reasons = new Set<PauseReason>()
  let log = createRowLog(bounds)
  let isPaintDue = false
  let restsUntilMs = 0

  const view: RowView = {
    isPaused,
    activeId,
    rows: () => painted().view(),
    pending: () => painted().pending(),
    pause,
    unpause,
    resume,
    indexOfActive: () => activeId.value === undefined ? -1 : indexOf(activeId.value),
    moveActive,
    activate: ({ id }) => { activeId.value = id },
    eventBeside
  }
  return {
    view,
    add (event, isLate) {
      const isNew = log.add(event, isLate)
      if (isNew) paint()
      return isNew
    },
    addPage (events, skipped = []) {
      for (const event of events.toReversed()) log.addListed(event)
      for (const gap of skipped) log.addListedGap(gap)
      paint()
    },
    addGap ({ from, reason, to }) {
      log.addGap({ from, to, reason })
      paint()
    },
    addReconnect (atMs) {
      log.addReconnect(atMs)
      paint()
    },
    clear () {
      log = createRowLog(bounds)
      const isDetailOpen = reasons.has('detail')
      resume()
      if (isDetailOpen) pause('detail')
    },
    ids: () => [...log.ids()],
    // After an eviction the next page would not begin at the oldest row.
    isFull: () => painted().evicted() > 0 || log.view().length >= bounds.maxRows
  }

  /** The log, read so that the reader is told of the next painting. */
  function painted (): RowLog {
    void version.value
    return log
  }

  function pause (reason: PauseReason): void {
    reasons.add(reason)
    if (isPaused.value) return
    log.freeze()
    isPaused.value = true
    paint()
  }

  function unpause (reason: PauseReason): void {
    if (reasons.delete(reason) && reasons.size === 0) resume()
  }

  function resume (): void {
    reasons.clear()
    log.unfreeze()
    isPaused.value = false
    paint()
  }

  function indexOf (id: string): number {
    const rows = log.view()
    const index = rows.findLastIndex((row) => row.id === id)
    return index < 0 ? -1 : rows.length - 1 - index
  }

  function moveActive (by: number): void {
    const rows = log.view()
    const index = activeId.value === undefined ? -1 : indexOf(activeId.value)
    const target = index < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, index + by))
    activeId.value = rows[rows.length - 1 - target]?.id
  }

  function eventBeside (id: string, by: -1 | 0 | 1): PublishedEvent | undefined {
    const rows = painted().view()
    const index = rows.findLastIndex((row) => row.id === id)
    if (index < 0) return undefined
    for (let at = index + by; ; at += by) {
      const row = rows[at]
      if (row?.kind === 'event') return row.event
      if (row === undefined || by === 0) return undefined
    }
  }

  /** In a frame. The browser runs none while the page is hidden; the rows go on. */
  function paint (): void {
    if (isPaintDue) return
    isPaintDue = true
    const waitMs = restsUntilMs - performance.now()
    if (waitMs > 0) setTimeout(requestPaint, waitMs)
    else requestPaint()
  }

  function requestPaint (): void {
    requestAnimationFrame(() => {
      const startedMs = performance.now()
      isPaintDue = false
      version.value = untracked(() => version.value) + 1
      restsUntilMs = startedMs + LEAST_REST_MS
      // The browser runs this task after it has laid out and painted the frame.
      setTimeout(() => {
        const nowMs = performance.now()
        const restMs = Math.min(MOST_REST_MS, Math.max(LEAST_REST_MS, REST_OF_WORK * (nowMs - startedMs)))
        restsUntilMs = nowMs + restMs
      })
    })
  }
}
