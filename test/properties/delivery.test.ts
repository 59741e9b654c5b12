import fc from 'fast-check'
import t from 'tap'
import { decodeCursor, decodeStreamCursor, type StreamCursor } from '../../src/audit/cursor.ts'
import { compileFilter, type AuditFilter } from '../../src/audit/filter.ts'
import { parseInstant, type Instant } from '../../src/audit/instant.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import { holdsAsync, runs } from '../contracts/property.ts'
import { createLine, createStage, type Line, type Stage } from '../support/stage.ts'
import { at } from '../support/timeline.ts'

const LATENESS_SECONDS = 10
const MOST_TURNS = 5000
const MOST_MS = 60_000

type Command =
  | { readonly kind: 'publish', readonly late: number, readonly category: string, readonly count: number }
  | { readonly kind: 'poll' }
  | { readonly kind: 'pass', readonly seconds: number }
  | { readonly kind: 'turn' }
  | { readonly kind: 'outage', readonly isDown: boolean }
  | { readonly kind: 'join', readonly ago: number, readonly filter: AuditFilter, readonly capacity: number }
  | {
    readonly kind: 'return',
    readonly listener: number,
    readonly frame: number,
    readonly capacity: number,
    readonly stays: boolean
  }
  | { readonly kind: 'block' | 'unblock' | 'drain', readonly listener: number }

interface Listener {
  readonly line: Line
  readonly filter: AuditFilter
  /** All that it must get in the end, from here on. */
  readonly isWanted: (item: JsonObject, instant: Instant) => boolean
  /** What the one before it was given, up to the cursor. */
  readonly before: ReadonlySet<string>
  readonly drop: () => void
  isGone: boolean
}

interface Scenario {
  readonly commands: Command[]
  readonly maxEvents: number
  readonly limit: number
  readonly maxBytes: number
  readonly pageCap: number
}

async function faultOf ({ commands, limit, maxBytes, maxEvents, pageCap }: Scenario): Promise<string | undefined> {
  const stage = createStage({
    historyEvents: maxEvents,
    latenessMs: LATENESS_SECONDS * 1000,
    replayLimit: limit,
    replayBytes: maxBytes,
    quirks: { pageCap }
  })
  const listeners: Listener[] = []
  let serial = 0
  for (const command of commands) await act(command)
  await comeToRest(stage, listeners)
  await stage.hub.close(0)
  return listeners.filter(({ isGone }) => !isGone).map((each) => judge(each, stage)).find((each) => each !== undefined)

  async function act (command: Command): Promise<void> {
    switch (command.kind) {
      case 'publish':
        for (let i = 0; i < command.count; i++) {
          stage.publish(`e${serial++}`, stage.now() - command.late - i / 100, { category_type: command.category })
        }
        return
      case 'poll': return stage.poll()
      case 'pass': return stage.pass(command.seconds)
      case 'outage': return stage.fall(command.isDown)
      case 'turn': return stage.turn()
      case 'join': return join(command)
      case 'return': return comeBack(command)
      default: listeners[command.listener % Math.max(1, listeners.length)]?.line[command.kind]()
    }
  }

  function join ({ ago, capacity, filter }: Extract<Command, { kind: 'join' }>): void {
    const from = at(stage.now() - ago)
    const line = createLine(capacity)
    const { subscription } = stage.listen({ from }, line, { filter })
    listeners.push({
      line,
      filter,
      isWanted: (_, instant) => instant >= from,
      before: new Set(),
      drop: () => subscription.disconnected(),
      isGone: false
    })
  }

  /** Another connection goes on behind a frame that an earlier one was given. */
  function comeBack ({ capacity, frame, listener, stays }: Extract<Command, { kind: 'return' }>): void {
    const earlier = listeners[listener % Math.max(1, listeners.length)]
    if (earlier === undefined) return
    const place = frame % earlier.line.frames.length
    const cursor = cursorIn(earlier.line, place)
    if (cursor === undefined) return
    const given = earlier.line.frames.slice(0, place + 1)
    const line = createLine(capacity)
    const before = new Set([
      ...earlier.before,
      ...given.flatMap((each) => each.type === 'event' ? [each.event.id] : [])
    ])
    const gaps = gapsOf(given)
    const isWanted = (item: JsonObject, instant: Instant) =>
      earlier.isWanted(item, instant) && !isInside(gaps, instant)
    const { subscription } = stage.listen({ since: cursor }, line, { filter: earlier.filter })
    listeners.push({
      line,
      filter: earlier.filter,
      isWanted,
      before,
      drop: () => subscription.disconnected(),
      isGone: false
    })
    if (stays) return
    earlier.drop()
    earlier.isGone = true
  }
}

function cursorIn (line: Line, place: number): StreamCursor | undefined {
  const frame = line.frames[place]
  return frame === undefined || !('cursor' in frame) ? undefined : decodeStreamCursor(frame.cursor)
}

function instantOf (text: unknown): Instant {
  return parseInstant(text) ?? 0n
}

type Gap = readonly [from: Instant, to: Instant]

function gapsOf (frames: Line['frames']): Gap[] {
  return frames.flatMap((frame) => frame.type === 'gap' ? [[instantOf(frame.from), instantOf(frame.to)]] : [])
}

function isInside (gaps: readonly Gap[], instant: Instant): boolean {
  return gaps.some(([from, to]) => from <= instant && instant <= to)
}

/** Everyone takes what there is, until nothing comes any more. */
async function comeToRest (stage: Stage, listeners: Listener[]): Promise<void> {
  stage.fall(false)
  stage.poll()
  const seen = () => listeners.reduce((sum, { line }) => sum + line.frames.length, 0)
  let turns = 0
  for (let quiet = 0, before = -1; quiet < 20; quiet = before === seen() ? quiet + 1 : 0) {
    if (++turns > MOST_TURNS) throw new Error('it does not come to rest')
    before = seen()
    for (const { line } of listeners) line.unblock()
    await stage.turn()
  }
}

/** The first fault in what a subscriber received. */
function judge (listener: Listener, { items }: Stage): string | undefined {
  const { line } = listener
  return line.faults[0] ?? repeated(listener) ?? missingOrForeign(listener, items) ?? misordered(line)
}

function repeated ({ before, line }: Listener): string | undefined {
  const ids = line.ids()
  const twice = ids.find((id, i) => ids.indexOf(id) !== i)
  if (twice !== undefined) return `${twice} came twice`
  const [hello] = line.frames
  const again = hello?.type === 'hello' && hello.resumed ? ids.find((id) => before.has(id)) : undefined
  return again === undefined ? undefined : `${again} was repeated although the stream was resumed`
}

/** An event is missing unless it came, an earlier connection received it, or a gap covers it. */
function missingOrForeign ({ before, filter, isWanted, line }: Listener, items: Stage['items']): string | undefined {
  const ids = new Set(line.ids())
  const gaps = gapsOf(line.frames)
  const accepts = compileFilter(filter)
  for (const { item } of items) {
    const id = String(item.id)
    const instant = instantOf(item.timestamp)
    if (ids.has(id) && !accepts(item)) return `${id} does not match`
    const isCovered = ids.has(id) || before.has(id) || isInside(gaps, instant)
    if (accepts(item) && isWanted(item, instant) && !isCovered) return `${id} is missing`
  }
  return undefined
}

function misordered (line: Line): string | undefined {
  const offsets = line.frames.flatMap((frame) => frame.type === 'event' ? [decodeCursor(frame.cursor)] : []).flatMap((
    cursor
  ) => cursor?.kind === 'log' ? [cursor.offset] : [])
  if (offsets.some((offset, i) => i > 0 && offset <= (offsets[i - 1] ?? 0))) return 'not in the order of the log'
  return undefined
}

const which = fc.nat({ max: 1000 })
const capacity = fc.constantFrom(100, 1000, 3000, 65_536)
const publish = fc.record({
  kind: fc.constant('publish' as const),
  late: fc.integer({ min: 0, max: LATENESS_SECONDS - 1 }),
  category: fc.constantFrom('a', 'b'),
  count: fc.integer({ min: 1, max: 8 })
})
const outage: fc.Arbitrary<Command> = fc.record({ kind: fc.constant('outage' as const), isDown: fc.boolean() })
const usual: Array<fc.WeightedArbitrary<Command>> = [
  { weight: 6, arbitrary: publish },
  { weight: 6, arbitrary: fc.constant<Command>({ kind: 'poll' }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('pass' as const), seconds: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 4, arbitrary: fc.constant<Command>({ kind: 'turn' }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('join' as const),
      ago: fc.integer({ min: 0, max: 60 }),
      filter: fc.constantFrom({}, { category_type: 'a' }),
      capacity
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('return' as const),
      listener: which,
      frame: which,
      capacity,
      stays: fc.boolean()
    })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('block' as const, 'unblock' as const, 'drain' as const),
      listener: which
    })
  }
]

function scenarios (
  limits: {
    maxEvents: [number, number],
    limit: fc.Arbitrary<number>,
    maxBytes: fc.Arbitrary<number>,
    more?: Array<fc.WeightedArbitrary<Command>>
  }
): fc.Arbitrary<Scenario> {
  return fc.record({
    commands: fc.array(fc.oneof(...usual, ...limits.more ?? []), { minLength: 1, maxLength: 80, size: 'max' }),
    maxEvents: fc.integer({ min: limits.maxEvents[0], max: limits.maxEvents[1] }),
    limit: limits.limit,
    maxBytes: limits.maxBytes,
    pageCap: fc.constantFrom(5, 20, 1000)
  })
}

t.test('a subscriber receives a replay that another one stopped waiting for, at any moment of its read', async (t) => {
  const ofA = { filter: { category_type: 'a' }, ago: 1, capacity: 100 }
  for (let steps = 0; steps <= 16; steps++) {
    const fault = await faultOf({
      commands: [
        { kind: 'publish', late: 0, category: 'a', count: 4 },
        { kind: 'poll' },
        { kind: 'join', ...ofA },
        { kind: 'return', listener: 0, frame: 0, capacity: 100, stays: false },
        ...Array.from({ length: steps }, () => ({ kind: 'poll' as const })), // The read goes on meanwhile.
        { kind: 'join', ...ofA }
      ],
      maxEvents: 3,
      limit: 10_000,
      maxBytes: 10_000_000,
      pageCap: 5
    })
    t.equal(fault, undefined, `${steps} steps later`)
  }
})

t.test('every subscriber receives every event once, or a gap, wherever it begins and however slow it is', async (t) => {
  const delivers = (given: fc.Arbitrary<Scenario>) => fc.asyncProperty(given, async (each) => {
    const fault = await faultOf(each)
    if (fault !== undefined) throw new Error(fault)
  })
  const unlimited = { limit: fc.constant(10_000), maxBytes: fc.constant(10_000_000) }

  t.test('delivery from a log that holds everything', async (t) => {
    await holdsAsync(t, delivers(scenarios({ maxEvents: [1000, 1000], ...unlimited })), { numRuns: runs(10) })
  })

  t.test('delivery from a log that holds little', async (t) => {
    await holdsAsync(t, delivers(scenarios({ maxEvents: [3, 60], ...unlimited })), {
      numRuns: runs(20),
      interruptAfterTimeLimit: MOST_MS
    })
  })

  t.test('delivery with replays that are cut', async (t) => {
    await holdsAsync(
      t,
      delivers(
        scenarios({ maxEvents: [3, 60], limit: fc.integer({ min: 1, max: 30 }), maxBytes: fc.constant(10_000_000) })
      ),
      { numRuns: runs(15), interruptAfterTimeLimit: MOST_MS }
    )
  })

  t.test('delivery with replays that are dropped for lack of memory', async (t) => {
    await holdsAsync(
      t,
      delivers(
        scenarios({ maxEvents: [3, 60], limit: fc.constant(10_000), maxBytes: fc.integer({ min: 300, max: 8000 }) })
      ),
      { numRuns: runs(15), interruptAfterTimeLimit: MOST_MS }
    )
  })

  t.test('delivery through outages of Kubiya', async (t) => {
    const { random } = Math
    Math.random = () => 0 // Back-off without waiting.
    t.teardown(() => {
      Math.random = random
    })
    await holdsAsync(
      t,
      delivers(scenarios({ maxEvents: [3, 60], ...unlimited, more: [{ weight: 4, arbitrary: outage }] })),
      { numRuns: runs(10) }
    )
  })
})
