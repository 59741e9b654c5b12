import type { Clock } from '../../clock.ts'
import { compareSortKeys, type SortKey } from '../../audit/sort-key.ts'
import type { EventLog, LogEntry } from '../log/event-log.ts'
import type { KeptRows, Replay, ReplayRow } from './replay.ts'

export interface LogReplay extends Replay {
  /** What the log keeps from before an offset. */
  before (offset: number): KeptRows
}

const KEPT_MS = 10_000
const BEFORE_ALL_IDS = '\0'

/**
 * What the log keeps, in the order of instants: one view for all streams, however many begin and wherever they stand.
 * It follows the log when it is looked at; whoever stands in it finds its place anew by the last row that it was given.
 */
export function createLogReplay (log: EventLog, { setTimer }: Clock): LogReplay {
  let rows: Array<ReplayRow & { readonly offset: number }> = []
  let first = 0
  let next = 0
  let version = 0
  let isForgetting = false

  return {
    get place () { return log.end() },
    newest: log.newestInstant,
    rows: refreshed,
    before: (until) => ({
      since: log.completeSince(),
      rows: refreshed().filter(({ offset, place }) => offset < until && log.isCompleteSince(place.instant))
    }),
    version: () => version,
    state: () => 'done',
    reached: log.completeSince,
    follow: () => () => {}
  }

  function refreshed () {
    const [oldest, head] = [log.startOffset(), log.end().offset]
    if (first === oldest && next === head) return rows
    const kept = first === oldest ? rows : rows.filter(({ offset }) => offset >= oldest)
    const entries = log.read(Math.max(next, oldest), head - oldest) ?? []
    for (const entry of entries) kept.push({ ...entry, place: placeOf(entry) })
    rows = kept.sort((a, b) => compareSortKeys(a.place, b.place)) // Two runs, nearly always: that is one pass.
    first = oldest
    next = head
    version++
    if (!isForgetting) setTimer(forget, KEPT_MS)
    isForgetting = true
    return rows
  }

  /** Does not hold what the log has let go of for longer than it is needed. */
  function forget (): void {
    isForgetting = false
    rows = []
    first = 0
    next = 0
    version++
  }
}

/** An entry without an instant of its own has the log's when it entered. */
function placeOf (entry: LogEntry): SortKey {
  if ('gap' in entry) return { instant: entry.gap.to, id: BEFORE_ALL_IDS } // Whoever begins inside it hears of it.
  return { instant: entry.event.instant ?? entry.highWater, id: entry.event.id }
}
