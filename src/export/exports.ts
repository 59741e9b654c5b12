import type { Requester } from '../audit/requester.ts'
import { instantFromMs, type Instant } from '../audit/instant.ts'
import type { AuditSource, Failure } from '../audit/source.ts'
import { resolveRange, type RequestedRange, type TimeRange } from '../audit/time-range.ts'
import type { Clock } from '../clock.ts'
import { readExport, type ExportReaderOptions } from './export-reader.ts'
import type { ExportQuery, ExportStep } from './export-request.ts'

export interface ExportsOptions extends Pick<ExportReaderOptions, 'readLimit' | 'scanLimit'> {
  readonly source: AuditSource
  readonly clock: Pick<Clock, 'setTimer'>
  /** Kubiya's clock, milliseconds since 1970. */
  readonly upstreamNow: () => number
  /** The slower of Kubiya's clock and this machine's, milliseconds since 1970. */
  readonly earliestNow: () => number
}

/** An export that has begun. */
export interface Export {
  readonly ok: true
  /** Its end is set. */
  readonly window: TimeRange
  /** Pulled by the consumer, who must call `end` in any case. */
  readonly steps: AsyncIterable<ExportStep>
  /** Ends the reading at once, also the request in progress. */
  end (): void
}

/** The exports of one tenant. */
export interface Exports {
  /** Reads the first part of an export. A failure before any event is the failure of the request. */
  open (query: ExportQuery, requester: Requester): Promise<Export | Failure>
  /** Exports in progress. */
  size (): number
  /** Ends all exports as incomplete, and admits no more. */
  close (): void
}

const CLOSED: Failure = { ok: false, kind: 'overloaded', retryAfterMs: 5000 }

export function createExports (options: ExportsOptions): Exports {
  const { clock, earliestNow, readLimit, scanLimit, source, upstreamNow } = options
  const running = new Set<AbortController>()
  let isClosed = false
  return { open, size: () => running.size, close }

  async function open (query: ExportQuery, requester: Requester): Promise<Export | Failure> {
    if (isClosed) return CLOSED
    const controller = new AbortController()
    const abort = () => { controller.abort() }
    const forgetCaller = requester.onDisconnect?.(abort)
    const end = () => {
      abort()
      forgetCaller?.()
      running.delete(controller)
    }
    running.add(controller)
    const request = { ...query, window: pinned(query.window, instantFromMs(upstreamNow())) }
    const { signal } = controller
    const steps = readExport(source, request, { requester, signal, readLimit, scanLimit, clock })
    try {
      const first = await steps.next()
      if (first.done === true) throw new Error('an export has an end')
      if (first.value.kind === 'events' || first.value.failure === undefined) {
        return { ok: true, window: request.window, steps: beginning(first.value, steps), end }
      }
      end()
      return first.value.failure
    } catch (error) {
      end()
      throw error
    }
  }

  /** Resolves the window, and sets its end: an event of the future is not exported. */
  function pinned (window: RequestedRange | TimeRange, now: Instant): TimeRange {
    const earliest = instantFromMs(Math.min(upstreamNow(), earliestNow()))
    const range = 'unbounded' in window ? resolveRange(window, now, earliest) : window
    return { ...range, end: range.end ?? now }
  }

  function close (): void {
    isClosed = true
    for (const controller of running) controller.abort()
  }
}

async function * beginning (first: ExportStep, rest: AsyncIterable<ExportStep>): AsyncGenerator<ExportStep, void, void> {
  yield first
  yield * rest
}
