import { setTimeout as sleep } from 'node:timers/promises'
import { instantFromMs, type Instant } from '../../src/audit/instant.ts'
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts'
import { composeLive, type Composition, type Knobs, type Substitutes } from './composition.ts'
import { createListener, type Listener } from './listener.ts'
import { createQuickTime } from './quick-time.ts'
import { FAULTS, type Schedule, type Step } from './schedule.ts'
import { eventsOf, gapsOf, type Story } from './story.ts'
import { createTruth, keyOf, type Item } from './truth.ts'
import { judge, judgeTogether, missingOf, type Verdict, type Violation } from './verdict.ts'

export interface TrialOptions {
  /** How long nothing may have come before what is missing counts as lost, milliseconds; `WHOLE_READS` besides. */
  readonly patienceMs: number
  readonly substitutes?: Substitutes
}

export interface Outcome {
  readonly violations: Violation[]
  readonly verdicts: Verdict[]
  readonly published: number
  readonly runs: number
}

type StepOf<Kind extends Step['kind']> = Extract<Step, { kind: Kind }>

const SPEED = 20
const PAST_MS = 1_200_000
const IN_TIME = 0.9 // Of the lateness: whatever is published is on its way for a moment, too.
const RETURN_MS = 5
const LOOK_MS = 15
const QUIET_MS = 80
const WHOLE_READS = 4 // One may have begun too early, and a replay takes as long as one or two.
const LARGEST_PAGE = 1000
const LONGEST_SILENCE_MS = 20_000
const MICRO = 1000n
const MOST_COPIES = 3
// From there on a gap is told in vain.
const ROOMY = 10_000

/**
 * Lets a schedule happen to the real parts, waits until they have caught up, and judges what every subscriber was
 * given.
 */
export async function runTrial (schedule: Schedule, options: TrialOptions): Promise<Outcome> {
  const { quirks, knobs } = schedule
  const time = createQuickTime(SPEED)
  const truth = createTruth()
  const sandbox = await startSandbox({ ...quirks, ignore: new Set(quirks.ignore), now: time.now })
  const listeners: Listener[] = []
  const errors: unknown[] = []
  let alone: Item | undefined // The last event that shares its instant with no other one.
  let runs = 0
  let service: Composition | undefined

  try {
    publishPast()
    await start()
    join({ kind: 'join', transport: 'ws', filter: 'all', agoMs: 1000 })
    join({ kind: 'join', transport: 'sse', filter: 'all', agoMs: 1000 })
    for (const step of schedule.steps) await take(step)
    sandbox.faults.clear()
    for (const listener of listeners) listener.wake()
    await caughtUp(() => listeners)
    await sleep(QUIET_MS) // What comes twice may come now.
    return outcome()
  } finally {
    await Promise.all(listeners.map((listener) => listener.leave()))
    await service?.stop('abrupt')
    await sandbox.close()
  }

  function outcome (): Outcome {
    const stories = listeners.map(({ story }) => story)
    const verdicts = stories.map((story) => judge(story, truth))
    const violations = [
      ...verdicts.flatMap((verdict) => verdict.violations),
      ...judgeTogether(stories),
      ...isRoomy(knobs) ? idleGaps(verdicts, stories) : [],
      ...errors.map(unexpected)
    ]
    return { violations, verdicts, published: truth.count(), runs }
  }

  async function start (): Promise<void> {
    runs++
    service = await composeLive(sandbox, knobs, time, options.substitutes)
  }

  async function stop (how: 'graceful' | 'abrupt'): Promise<void> {
    const stopped = service
    service = undefined
    await stopped?.stop(how)
    errors.push(...stopped?.errors ?? [])
  }

  async function take (step: Step): Promise<void> {
    const listener = 'who' in step ? listeners[step.who % listeners.length] : undefined
    switch (step.kind) {
      case 'publish': return publish(step)
      case 'again': return publishAgain()
      case 'fault': return fail(step)
      case 'join': return join(step)
      case 'stall': return listener?.stall()
      case 'wake': return listener?.wake()
      case 'reconnect': return listener?.reconnect(step.back)
      case 'restart': return restart(step)
      case 'wait': return sleep(step.realMs)
      case 'settle': return settle()
    }
  }

  function show (items: readonly Item[]): void {
    truth.show(items)
    sandbox.publish(items)
  }

  function publishPast (): void {
    const nowMs = time.now()
    show(
      truth.make(Array.from({ length: schedule.past }, (_, index) =>
        instantFromMs(nowMs - PAST_MS * (1 - index / schedule.past))))
    )
  }

  function publish (step: StepOf<'publish'>): void {
    const items = truth.make(instantsOf(step, time.now(), knobs.latenessMs))
    if (step.form !== 'instant') alone = items.at(-1)
    show(step.form === 'twins' ? items.flatMap((item, index) => Array<Item>(2 + index % 2).fill(item)) : items)
  }

  function publishAgain (): void {
    const shown = alone === undefined ? undefined : truth.get(keyOf(alone))
    if (alone === undefined || shown === undefined || shown.copies.length > MOST_COPIES) return
    if (shown.instant >= instantFromMs(time.now() - knobs.latenessMs * IN_TIME)) show([alone])
  }

  function fail ({ fault, times, whom }: StepOf<'fault'>): void {
    const isPoll = ({ query }: Sandbox['requests'][number]) => query.pageSize !== 1000 || knobs.pollPageSize === 1000
    sandbox.faults.next({ ...FAULTS[fault], ...whom === 'poller' && { when: isPoll } }, times)
  }

  function join ({ agoMs, filter, transport }: StepOf<'join'>): void {
    listeners.push(createListener({
      name: String(listeners.length),
      transport,
      filter,
      start: instantFromMs(time.now() - agoMs),
      whereabouts: () => service && { url: service.url, run: runs, isFilled: service.fullReads() > 0 },
      lastPublishing: truth.last,
      returnMs: RETURN_MS,
      hold: (name) => service?.hold(name) ?? (() => {})
    }))
  }

  async function restart ({ downMs, how, meanwhile }: StepOf<'restart'>): Promise<void> {
    const stopped = stop(how)
    if (meanwhile > 0) publish({ kind: 'publish', form: 'apart', count: meanwhile, late: 0, spread: 0.5 })
    await stopped
    await sleep(downMs / SPEED)
    await start()
  }

  async function settle (): Promise<void> {
    sandbox.faults.clear()
    await caughtUp(() => listeners.filter((listener) => !listener.isStalled()))
  }

  /**
   * Resolves when no listener misses an event, or when nothing arrives any more. Nothing arrives any more when several
   * whole reads and the requests of several replays brought nothing, or when the service requests nothing. Elapsed time
   * proves nothing, because the machine may be busy. Events are compared only after something has arrived.
   */
  async function caughtUp (whose: () => Listener[]): Promise<void> {
    const heard = () => listeners.reduce((sum, { story }) => sum + countHeard(story), 0)
    const isBehind = () => whose().some(({ story }) => missingOf(story, truth).length > 0)
    const fullReads = () => service?.fullReads() ?? 0
    const look = () => ({ heard: heard(), ms: performance.now(), reads: fullReads(), requests: sandbox.asked })
    const requestsOfReplays = () =>
      listeners.length * Math.ceil(truth.count() / Math.min(quirks.pageCap, LARGEST_PAGE))
    let [last, asked, behind] = [look(), look(), isBehind()]
    const isInVain = ({ ms, reads, requests }: typeof last) => ms - asked.ms >= LONGEST_SILENCE_MS ||
      (ms - last.ms >= options.patienceMs && reads >= last.reads + WHOLE_READS &&
        requests >= last.requests + WHOLE_READS * requestsOfReplays())
    for (let now = last; behind && !isInVain(now); now = look()) {
      if (now.requests !== asked.requests) asked = now
      if (now.heard !== last.heard) [last, behind] = [now, isBehind()]
      await sleep(LOOK_MS)
    }
  }
}

/** When the events of a publication happen: all at once, or apart and together no further back than the lateness. */
function instantsOf (
  { count, form, late, spread }: StepOf<'publish'>,
  nowMs: number,
  latenessMs: number
): Instant[] {
  const mostMs = latenessMs * IN_TIME
  const newest = instantFromMs(nowMs - 1 - late * mostMs)
  const step = BigInt(Math.max(1, Math.floor(spread * (1 - late) * mostMs * 1000 / count)))
  const isApart = form !== 'instant'
  return Array.from({ length: count }, (_, index) => isApart ? newest - step * BigInt(count - 1 - index) * MICRO : newest)
}

function isRoomy ({ historyEvents, replayLimit }: Knobs): boolean {
  return historyEvents >= ROOMY && replayLimit >= ROOMY
}

/** Gaps that were told although no event had to leave the log. */
function idleGaps (verdicts: readonly Verdict[], stories: readonly Story[]): Violation[] {
  return verdicts.flatMap(({ gaps }, index): Violation[] =>
    gaps > 0 ? [{ fault: 'idle gap', who: stories[index]?.name ?? '', what: 'there was room for everything' }] : []
  )
}

function unexpected (error: unknown): Violation {
  return { fault: 'form', who: 'the service', what: error instanceof Error ? String(error.stack) : String(error) }
}

/** What says anything of events. */
function countHeard ({ chapters }: Story): number {
  return chapters.reduce((sum, chapter) => sum + eventsOf(chapter).length + gapsOf(chapter).length, 0)
}
