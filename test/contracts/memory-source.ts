import { identify } from '../../src/audit/event-id.ts'
import { ceilToSecond, floorToSecond, parseInstant, type Instant } from '../../src/audit/instant.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import type { Answer, AuditSource, Failure, FailureKind, Quirk, SourceQuery } from '../../src/audit/source.ts'

export interface Habits {
  /** The largest page that is answered. */
  readonly pageCap: number
  /** What a page number is multiplied by: the size answered or the size asked for. */
  readonly offsetBy: 'capped' | 'asked'
  /** Newest first, whatever was asked. */
  readonly ignoresSort: boolean
  readonly ignoresBounds: boolean
  readonly ignoresFilter: boolean
  /** How an answer fails that holds this item. */
  readonly spoils?: (item: JsonObject) => FailureKind | undefined
}

export const USUAL_HABITS: Habits = {
  pageCap: 1000,
  offsetBy: 'capped',
  ignoresSort: false,
  ignoresBounds: false,
  ignoresFilter: false
}

/** An item and where the log keeps it, which its timestamp need not tell. */
export interface Kept { readonly at: Instant, readonly item: JsonObject }

export interface MemorySource extends AuditSource {
  keep (...kept: Kept[]): void
  /** Loses so many of the oldest. */
  lose (count: number): void
  readonly questions: SourceQuery[]
}

const MOST_READS = 3000

/**
 * A log in memory, in order of instant, then of arrival. `interfere` runs before each read; what it gives back is the
 * answer.
 */
export function createMemorySource (
  quirks: Habits,
  interfere: (reads: number) => Failure | undefined = () => undefined
): MemorySource {
  const log: Kept[] = []
  const questions: SourceQuery[] = []
  let longest = 0

  const noticed = new Set<Quirk>()

  return {
    questions,
    quirks: noticed,
    reportQuirk: (quirk) => { noticed.add(quirk) },
    keep (...kept) {
      log.push(...kept)
      log.sort((a, b) => a.at < b.at ? -1 : a.at > b.at ? 1 : 0)
    },
    lose (count) {
      log.splice(0, count)
    },
    async read (query) {
      questions.push(query)
      if (questions.length > MOST_READS) throw new Error('this walk has no end')
      return interfere(questions.length) ?? answer(query)
    },
    async find (id) {
      return { ok: true, event: identify(log.map(({ item }) => item)).find((event) => event.id === id) }
    }
  }

  function answer (query: SourceQuery): Answer | Failure {
    const rows = log.filter((kept) => answers(kept, query))
    if (quirks.ignoresSort || query.direction === 'desc') rows.reverse()
    const size = Math.min(query.pageSize, quirks.pageCap)
    const start = (query.page - 1) * (quirks.offsetBy === 'asked' ? query.pageSize : size)
    const page = rows.slice(start, start + size).map(({ item }) => item)
    const kind = page.map((item) => quirks.spoils?.(item)).find((each) => each !== undefined)
    if (kind !== undefined) return { ok: false, kind }
    const events = identify(page)
    longest = Math.max(longest, events.length)
    return { ok: true, events, rows: events.length, end: isEnd(events.length, query.pageSize), upstreamMs: undefined }
  }

  function isEnd (rows: number, asked: number): boolean | undefined {
    if (rows === 0) return true
    if (rows >= asked) return false
    return rows < longest ? true : undefined
  }

  function answers ({ at, item }: Kept, { filter, window: { start, end } }: SourceQuery): boolean {
    const isInside = quirks.ignoresBounds ||
      ((start === undefined || at >= floorToSecond(start)) && (end === undefined || at <= ceilToSecond(end)))
    return isInside &&
      (quirks.ignoresFilter || filter.category_type === undefined || item.category_type === filter.category_type)
  }
}

/** An item kept where its timestamp says. */
export function dated (item: JsonObject): Kept {
  const at = parseInstant(item.timestamp)
  if (at === undefined) throw new Error('an item without an instant')
  return { at, item }
}
