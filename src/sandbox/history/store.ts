import { entryOf, verbatimEntry, type Entry } from './entry.ts'
import type { History } from './history.ts'
import type { Order } from '../query.ts'
import { mergeRuns, walkRun, type Span } from './sorted-run.ts'

/** All visible events: the published ones, and the generated past if there is one. */
export interface Store {
  publish: (items: readonly object[]) => void
  publishRaw: (text: string) => void
  /** Removes published items. Returns their number. */
  remove: (predicate: (item: unknown) => boolean) => number
  /** By instant. Events of one instant are in the order of publishing, or its reverse. */
  walk: (span: Span, order: Order) => Generator<Entry>
}

export function createStore (history: History | undefined): Store {
  let published: Entry[] = []
  let sorted = true

  return { publish, publishRaw, remove, walk }

  function publish (items: readonly object[]): void {
    for (const item of items) add(entryOf(item))
  }

  function publishRaw (text: string): void {
    add(verbatimEntry(text))
  }

  function add (entry: Entry): void {
    const last = published[published.length - 1]
    if (last !== undefined && entry.place < last.place) sorted = false
    published.push(entry)
  }

  function remove (predicate: (item: unknown) => boolean): number {
    const before = published.length
    published = published.filter((entry) => !predicate(entry.value))
    return before - published.length
  }

  function walk (span: Span, order: Order): Generator<Entry> {
    if (!sorted) {
      // The sort is stable, so entries of one instant keep the order of publishing.
      published.sort((a, b) => a.place < b.place ? -1 : a.place > b.place ? 1 : 0)
      sorted = true
    }
    const walked = walkRun(published, span, order)
    return history === undefined ? walked : mergeRuns(history.walk(span, order), walked, order)
  }
}
