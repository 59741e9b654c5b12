import { EARLIEST, LATEST, type Instant } from '../audit/instant.ts'
import type { AuditFilter } from '../audit/filter.ts'
import type { JsonObject } from '../audit/exact-json.ts'
import { metered, withReservation, type Requester } from '../audit/requester.ts'
import type { AuditSource, Failure } from '../audit/source.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import type { Clock } from '../clock.ts'
import { bisecting } from '../scan/bisection.ts'
import { scan } from '../scan/scanner.ts'
import type { ScanStep } from '../scan/scan-step.ts'
import type { EventTable } from './event-table.ts'

export interface TableScanOptions {
  readonly source: AuditSource
  readonly table: Pick<EventTable, 'add' | 'addGap'>
  /** Kubiya may leave out what does not match. */
  readonly filter: AuditFilter
  /** Whether an event matches the text that a count looks for. Default: each does. */
  readonly matchesText?: (item: JsonObject) => boolean
  /** The newest instant that is read. `undefined`: no bound. */
  readonly end?: Instant | undefined
  /** The most events that are read. */
  readonly rowLimit: number
  /** Whether the table takes older events. */
  readonly hasRoom?: () => boolean
  readonly clock: Pick<Clock, 'monotonicMs' | 'setTimer'>
  /** Receives what should not happen. The reading counts as stopped. */
  readonly onError: (error: unknown) => void
}

/**
 * Why the reading stopped before its goal.
 * - `row-limit`: the scan has read the maximum of events, or the table is full.
 * - `unasked`: no question came for a minute.
 */
export type ScanStop = 'row-limit' | 'unasked' | Failure

export interface ScanProgress {
  /** Every event from here to the scan's end is in the table. `undefined`: none is certain yet. */
  readonly coveredFrom: Instant | undefined
  /** How many events were looked at. */
  readonly scanned: number
  /** `undefined`: the reading continues, or has reached its goal. The wait of a failure is the rest of that wait. */
  readonly stop: ScanStop | undefined
}

/** Fills a table from Kubiya, newest events first. */
export interface TableScan {
  /**
   * Reads back to an instant, on the requester's account. Resolves when that is done, when the reading has stopped, or
   * after `waitMs`; the reading then continues. A later call continues where it stopped.
   */
  advance (goal: Instant, requester: Requester, waitMs: number): Promise<ScanProgress>
  progress (): ScanProgress
  /** Ends the reading. */
  close (): void
}

/** The most events of one page. A scan may exceed its limit by one page less one. */
export const PAGE_ROWS = 1000
const PATIENCE_MS = 60_000
const DEFAULT_PAUSE_MS = 1000
const LEAST_LEFT_MS = 1

export function createTableScan (options: TableScanOptions): TableScan {
  const { clock, filter, hasRoom = () => true, matchesText = () => true, onError, rowLimit, source, table } = options
  const closing = new AbortController()
  let goal: Instant | undefined
  let coveredFrom: Instant | undefined
  let scanned = 0
  let stop: ScanStop | undefined
  let stoppedMs = -Infinity
  let askedMs = -Infinity
  let running: Promise<void> | undefined

  return { advance, progress, close: () => closing.abort() }

  function progress (): ScanProgress {
    return { coveredFrom, scanned, stop: stop && leftOf(stop, clock.monotonicMs() - stoppedMs) }
  }

  function stopFor (reason: ScanStop | undefined): void {
    stop = reason
    stoppedMs = clock.monotonicMs()
  }

  async function advance (newGoal: Instant, requester: Requester, waitMs: number): Promise<ScanProgress> {
    askedMs = clock.monotonicMs()
    if (goal === undefined || newGoal < goal) goal = newGoal
    if (!isCovered() && !closing.signal.aborted && (stop === undefined || canContinue(stop))) {
      running ??= read(requester).finally(() => { running = undefined })
      await settledWithin(running, waitMs)
    }
    return progress()
  }

  async function read (requester: Requester): Promise<void> {
    stopFor(undefined)
    try {
      const result = await withReservation(requester, PAGE_ROWS, (reservation) =>
        readDown(metered(source, reservation), requester.key))
      stopFor(result ?? undefined)
    } catch (error) {
      onError(error)
      stopFor({ ok: false, kind: 'invalid' })
    }
  }

  /** A question may move the goal while its predecessor is being answered. */
  async function readDown (paid: AuditSource, key: string): Promise<ScanStop | undefined> {
    let result: ScanStop | undefined
    while (!isCovered() && result === undefined) result = await readTo(goal ?? EARLIEST, paid, key)
    return result
  }

  async function readTo (start: Instant, paid: AuditSource, key: string): Promise<ScanStop | undefined> {
    const end = coveredFrom ?? options.end
    const window = { ...start > EARLIEST && { start }, ...end !== undefined && { end } }
    const purpose = { kind: 'caller' as const, key, signal: closing.signal, isBulk: true }
    const request = { filter, window, direction: 'desc' as const, pageSize: PAGE_ROWS, scanLimit: rowLimit, purpose }
    for await (const step of scan(bisecting(paid, { skipsRows: true }), request)) {
      if (closing.signal.aborted) return 'unasked'
      if (step.ok) {
        await take(step, start)
        if (step.end) return undefined
        if (scanned >= rowLimit || !hasRoom()) return 'row-limit'
      } else if (isShortage(step)) await pause(step)
      else return step
      if (clock.monotonicMs() - askedMs > PATIENCE_MS) return 'unasked'
    }
    return undefined
  }

  /** Long texts take a while to be searched. What is covered grows when all rows are in the table. */
  async function take ({ end, reached, rows, scanned: looked, skipped }: ScanStep, start: Instant): Promise<void> {
    for (const { event, key } of rows) {
      table.add(event, key.instant, matchesText(event.item))
      const pause = pauseIfDue()
      if (pause !== undefined) await pause
    }
    if (skipped !== undefined) {
      table.addGap({ from: skipped.from, to: skipped.to ?? coveredFrom ?? options.end ?? LATEST })
    }
    scanned += looked
    if (end) coveredFrom = start
    else if (reached !== undefined) coveredFrom = reached + 1n
  }

  function isCovered (): boolean {
    return coveredFrom !== undefined && goal !== undefined && coveredFrom <= goal
  }

  /** Waits for the request budget. Meanwhile `stop` gives the shortage as the reason. */
  async function pause (shortage: Failure): Promise<void> {
    const { retryAfterMs = DEFAULT_PAUSE_MS } = shortage
    stopFor({ ...shortage, retryAfterMs })
    await new Promise<void>((resolve) => { clock.setTimer(resolve, retryAfterMs) })
    stopFor(undefined)
  }

  function settledWithin (reading: Promise<void>, waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = clock.setTimer(resolve, waitMs)
      reading.finally(() => {
        cancel()
        resolve()
      }).catch(onError)
    })
  }
}

/** A reason with what is left of its wait, at least 1 ms: a caller is never asked to come back at once. */
function leftOf (stop: ScanStop, passedMs: number): ScanStop {
  if (typeof stop !== 'object' || stop.retryAfterMs === undefined) return stop
  return { ...stop, retryAfterMs: Math.max(LEAST_LEFT_MS, stop.retryAfterMs - passedMs) }
}

/** Whether a further question may bring the reading forward. */
function canContinue (stop: ScanStop): boolean {
  return stop !== 'row-limit'
}

/** Whether the request budget is spent. Kubiya itself has not failed. */
function isShortage ({ kind }: Failure): boolean {
  return kind === 'budget' || kind === 'share' || kind === 'throttled'
}
