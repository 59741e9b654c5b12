import type { Requester } from '../../audit/requester.ts'
import type { Gap } from '../../audit/log-batch.ts'
import type { LogCursor, StreamCursor } from '../../audit/cursor.ts'
import type { Instant } from '../../audit/instant.ts'
import { isAfter } from '../../audit/sort-key.ts'
import type { LogReader } from '../log/event-log.ts'
import { createBackfill } from '../replay/backfill.ts'
import type { BackfillPages } from '../replay/backfill-pages.ts'
import { FULL, WAIT, YIELD, type Pause, type Stage, type StageEnd, type StageResult } from '../replay/stage.ts'
import { cursorOf, gapSince, planStart, type BackfillPlan, type StartFrom } from '../replay/start-position.ts'
import { gapFrame } from '../transport/frames.ts'
import { prepareBatch, type PreparedBatch } from '../transport/prepared-batch.ts'
import { LiveStage, type FilterGroup } from './filtered-log.ts'
import type { FrameCache } from './frame-cache.ts'

/** Where events come from: the same for all consumers of a hub. */
export interface ConsumerSources {
  readonly log: LogReader
  readonly frameCache: FrameCache
  /** The past from Kubiya. */
  readonly backfillPages: BackfillPages
  /** Most events of Kubiya's past that one stream is given. */
  readonly replayLimit: number
  /** Nothing older than this instant will enter the log any more. */
  readonly lowWatermark: () => Instant
  /** Whether the log has been filled once. */
  readonly isFilled: () => boolean
  readonly latenessMs: number
  /** Most bytes of a batch of more than one frame. */
  readonly batchBytes: number
}

export interface ConsumerOptions {
  readonly sources: ConsumerSources
  readonly group: Pick<FilterGroup, 'filter' | 'matches' | 'batchAt'>
  readonly start: StartFrom
  /** `wake` is called when something may be due. */
  readonly listener: { wake (): void }
  /** Who pays for the requests to Kubiya that this subscriber causes. */
  readonly requester?: Requester | undefined
}

/** One subscriber's position, and what is due next: `while (stage.next() is end) stage = following(stage)`. */
export interface Consumer {
  /** Takes the position. Returns whether that is exactly where the cursor stood, so that nothing repeats. */
  begin (): boolean
  /** Whether the position is still to be taken: the log has not been filled yet. */
  isWaiting (): boolean
  /** Takes the position where the log has been filled meanwhile. */
  retry (): void
  /** Where the subscriber would resume. */
  position (): StreamCursor
  /** What is due next; a batch counts as delivered. `room`: see `Stage`. */
  next (room: number): PreparedBatch | Pause
  close (): void
}

const MOST_RETURNS = 3

export function createConsumer (options: ConsumerOptions): Consumer {
  return new SubscriberConsumer(options)
}

/** A class, not a closure for each method: there are many thousand consumers, and most of them are idle. */
class SubscriberConsumer implements Consumer {
  private readonly sources: ConsumerSources
  private readonly group: ConsumerOptions['group']
  private readonly listener: ConsumerOptions['listener']
  private readonly requester: ConsumerOptions['requester']
  private stage: Stage
  /** Set while the log is not filled: then it has no position to take. */
  private waitsFrom: StartFrom | undefined
  /** How often in a row the consumer has lost its position without progress, and the furthest position it lost. */
  private returns = 0
  private furthest: StreamCursor | undefined

  constructor ({ requester, group, listener, sources, start }: ConsumerOptions) {
    this.sources = sources
    this.group = group
    this.listener = listener
    this.requester = requester
    this.waitsFrom = start
    this.stage = waitingStage(start, sources.log)
  }

  begin (): boolean {
    return this.waitsFrom === undefined || this.enter(this.waitsFrom)
  }

  isWaiting (): boolean {
    return this.waitsFrom !== undefined
  }

  retry (): void {
    if (this.waitsFrom !== undefined) this.enter(this.waitsFrom)
  }

  position (): StreamCursor {
    return this.stage.position()
  }

  close (): void {
    this.stage.close()
  }

  next (room: number): PreparedBatch | Pause {
    const result = this.stage.next(room)
    if (!isOver(result)) return result
    const { stage } = this
    this.follow(result)
    stage.close()
    return YIELD // The next stage may be at once over, too: other subscribers have their turn first.
  }

  /** Which stage comes after one that is over. */
  private follow (over: StageEnd): void {
    if (over.kind === 'lost') this.reposition()
    else if (over.gap === undefined) this.stage = new LiveStage(this.sources.log, this.group, over.until)
    else this.stage = gapStage(over.gap, over.until, this.position())
  }

  /**
   * The log evicted the position of a slow subscriber, or a backfill was dropped. The consumer resumes as a client with
   * its cursor would, as often as that makes progress. After three times in a row without progress it reports a gap.
   */
  private reposition (): void {
    const stood = this.position()
    if (isFurther(stood, this.furthest)) {
      this.furthest = stood
      this.returns = 0
    }
    if (++this.returns <= MOST_RETURNS) {
      this.enter({ since: stood })
      return
    }
    this.returns = 0
    const { latenessMs, log } = this.sources
    const { gap, until } = gapSince(stood, log, latenessMs)
    this.stage = gapStage(gap, until, stood)
  }

  /** Takes the position of a start. Returns whether that is exactly where the cursor stood. */
  private enter (start: StartFrom): boolean {
    const { isFilled, latenessMs, log } = this.sources
    const plan = planStart(start, log, isFilled(), latenessMs)
    if (plan.kind === 'wait') return false
    this.waitsFrom = undefined
    this.stage = plan.kind === 'live'
      ? new LiveStage(log, this.group, plan.cursor, plan.replay)
      : this.backfill(plan)
    return plan.isExact
  }

  private backfill (plan: BackfillPlan): Stage {
    const { backfillPages, batchBytes, frameCache, log, lowWatermark, replayLimit } = this.sources
    const { filter, matches } = this.group
    return createBackfill({
      pages: backfillPages,
      plan,
      log,
      filter,
      matches,
      frameOf: frameCache.row,
      batchBytes,
      limit: replayLimit,
      lowWatermark,
      requester: this.requester,
      wake: () => this.listener.wake()
    })
  }
}

function isOver (result: StageResult): result is StageEnd {
  return result.kind === 'end' || result.kind === 'lost'
}

/** Whether a lost position is progress over the furthest one lost before it. */
function isFurther (stood: StreamCursor, furthest: StreamCursor | undefined): boolean {
  if (furthest?.kind !== stood.kind) return true
  return stood.kind === 'log'
    ? furthest.kind === 'log' && stood.offset > furthest.offset
    : furthest.kind === 'replay' && isAfter(stood.after, furthest.after, 'asc')
}

function waitingStage (start: StartFrom, log: LogReader): Stage {
  return { next: () => WAIT, position: () => cursorOf(start, log.end()), close: () => {} }
}

/** Tells the subscriber what it has missed since `stood`. */
function gapStage (gap: Gap, until: LogCursor, stood: StreamCursor): Stage {
  let isDelivered = false
  return { next, position: () => isDelivered ? until : stood, close: () => {} }

  function next (room: number): StageResult {
    if (isDelivered) return { kind: 'end', until }
    const batch = prepareBatch([gapFrame(gap, until)])
    if (batch.bytes > room) return FULL
    isDelivered = true
    return batch
  }
}
