import type { LogCursor } from '../audit/cursor.ts'
import { comparePlaces, type Place } from '../audit/place.ts'
import type { EventLog, LogEntry } from './event-log.ts'
import type { Replay, ReplayRow } from './replay.ts'

const MOST_KEPT = 8

/**
 * Replays of what the log keeps, in the order of instants. Streams that begin at the same place share one. Those that
 * are longest in use are dropped for newer ones, so that slow readers do not hold what the log has let go of.
 */
export function createRecalls (log: EventLog): (until: number) => Replay {
  const kept = new Map<number, ReturnType<typeof createRecall>>()

  return (until) => {
    const known = kept.get(until)
    if (known !== undefined && known.first === log.oldest()) return known
    known?.forget()
    const recall = createRecall(log, until)
    kept.delete(until)
    kept.set(until, recall)
    for (const [place, each] of kept) {
      if (kept.size <= MOST_KEPT) break
      kept.delete(place)
      each.forget()
    }
    return recall
  }
}

/** Of everything that entered before the offset `until`. */
function createRecall (log: EventLog, until: number): Replay & { readonly first: number, forget (): void } {
  const first = log.oldest()
  const place: LogCursor = log.cursorAt(until)
  const entries = log.read(first, until - first) ?? []
  let rows: ReplayRow[] = entries.map((entry) => ({ ...entry, place: placeOf(entry) })).sort((a, b) => comparePlaces(a.place, b.place))
  let isForgotten = false

  return {
    first,
    place,
    newest: log.newest(),
    rows: () => rows,
    state: () => isForgotten ? 'forgotten' : 'done',
    reached: () => place.instant,
    follow: () => () => {},
    forget () {
      isForgotten = true
      rows = []
    }
  }
}

/** An entry without an instant of its own has the log's when it entered. */
function placeOf (entry: LogEntry): Place {
  if ('gap' in entry) return { instant: entry.gap.to, id: '' } // Whoever begins inside it hears of it.
  return { instant: entry.event.instant ?? entry.highWater, id: entry.event.id }
}
