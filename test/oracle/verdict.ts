import { formatInstant, maxInstant, type Instant } from '../../src/audit/instant.ts'
import { eventsOf, gapsOf, type Chapter, type HeardEvent, type HeardGap, type Story } from './story.ts'
import type { Shown, Truth } from './truth.ts'

/**
 * `lost`: neither delivered nor in a gap. `doubled`: delivered twice where that is forbidden, or under more ids than it
 * has copies. `foreign`: delivered, but never published or not asked for. `disorder`: in a wrong order. `idle gap`: a
 * gap in which nothing is missing. `form`: not as the protocol says.
 */
export type Fault = 'lost' | 'doubled' | 'foreign' | 'disorder' | 'idle gap' | 'form'

export interface Violation {
  readonly fault: Fault
  readonly who: string
  readonly what: string
}

/** What became of a subscriber. */
export interface Verdict {
  readonly violations: readonly Violation[]
  readonly given: number
  /** Given again behind a hello that announced it, under the same id. */
  readonly repeats: number
  readonly gaps: number
  /** Not given, but in a gap. */
  readonly excused: number
  /** Neither. */
  readonly missing: number
}

type Accuse = (fault: Fault, what: string) => void

/** What a subscriber should have been given and was not: at least one copy neither came nor lies in a gap. */
export function missingOf (story: Story, truth: Truth): Shown[] {
  const gaps = story.chapters.flatMap(gapsOf)
  return notGiven(story, story.chapters, truth).filter(({ instant }) => !isWithin(instant, gaps))
}

/** Judges one subscriber by the truth alone. */
export function judge (story: Story, truth: Truth): Verdict {
  const violations: Violation[] = []
  const accuse: Accuse = (fault, what) => { violations.push({ fault, who: story.name, what }) }
  const given = gather(story.chapters)
  const missing = missingOf(story, truth)
  const repeats = judgeRepeats(story, accuse)
  const newest = [...truth.all()].reduce((latest, { instant }) => maxInstant(latest, instant), story.start)
  for (const refusal of story.refusals) accuse('form', `was refused: ${refusal}`)
  for (const chapter of story.chapters) {
    judgeForm(chapter, accuse)
    judgeOrder(chapter, newest, accuse)
  }
  for (const [key, ids] of given) {
    const shown = truth.get(key)
    if (shown === undefined || !shown.filters.includes(story.filter)) accuse('foreign', `event ${shown?.n ?? key}`)
    else if (ids.size > shown.copies.length) {
      accuse('doubled', `${shown.copies.length} copies of event ${shown.n} under ${[...ids].join(', ')}`)
    }
  }
  for (const shown of missing) {
    accuse('lost', `event ${shown.n} of ${formatInstant(shown.instant)}, publishing ${shown.copies.join(', ')}`)
  }
  for (const { from, reason, to } of idleGaps(story, truth)) {
    accuse('idle gap', `${reason} from ${formatInstant(from)} to ${formatInstant(to)}`)
  }
  return {
    violations,
    given: sum([...given.values()].map(({ size }) => size)),
    repeats,
    gaps: sum(story.chapters.map((chapter) => gapsOf(chapter).length)),
    excused: notGiven(story, story.chapters, truth).length - missing.length,
    missing: missing.length
  }
}

/** Judges subscribers by one another: one id for an event, one order, one word on its lateness for all who are live. */
export function judgeTogether (stories: readonly Story[]): Violation[] {
  const violations: Violation[] = []
  const keys = new Map<string, string>()
  const places = new Map<string, string>()
  for (const { chapters, name } of stories) {
    for (const { id, key, late, place } of chapters.flatMap(eventsOf)) {
      if (!isSaid(keys, id, key)) violations.push({ fault: 'form', who: name, what: `${id} is the id of two events` })
      if (
        place.kind === 'log' && !isSaid(places, `${place.epoch} ${place.offset}`, `${id} ${late ? 'late' : 'in time'}`)
      ) {
        violations.push({
          fault: 'disorder',
          who: name,
          what: `place ${place.offset} is ${id}, ${late ? 'late' : 'in time'}, and not for others`
        })
      }
    }
  }
  return violations
}

function isSaid (known: Map<string, string>, of: string, what: string): boolean {
  const said = known.get(of) ?? what
  known.set(of, said)
  return said === what
}

/** What a subscriber is to be given but was not in these chapters. */
function notGiven (
  { filter, liveSince = Infinity, start }: Story,
  chapters: readonly Chapter[],
  truth: Truth
): Shown[] {
  const given = gather(chapters)
  return [...truth.all()].filter(({ copies, filters, instant, key }) => {
    const isOwed = filters.includes(filter) &&
      (instant >= start || copies.every((publishing) => publishing > liveSince))
    return isOwed && (given.get(key)?.size ?? 0) < copies.length
  })
}

/** The ids under which each event was given. */
function gather (chapters: readonly Chapter[]): Map<string, Set<string>> {
  const given = new Map<string, Set<string>>()
  for (const { id, key } of chapters.flatMap(eventsOf)) {
    const ids = given.get(key)
    if (ids === undefined) given.set(key, new Set([id]))
    else ids.add(id)
  }
  return given
}

function isWithin (instant: Instant, gaps: readonly HeardGap[]): boolean {
  return gaps.some(({ from, to }) => instant >= from && instant <= to)
}

/**
 * Gaps in which nothing is missing when their connection ends; a later one may bring it. Not those from before a
 * listener's start: who comes back to another run is served from its start less the lateness, for late events' sake.
 */
function idleGaps (story: Story, truth: Truth): HeardGap[] {
  return story.chapters.flatMap((chapter, index) => {
    const gaps = gapsOf(chapter).filter(({ to }) => to >= story.start)
    if (gaps.length === 0) return []
    const missing = notGiven(story, story.chapters.slice(0, index + 1), truth)
    return gaps.filter((gap) => !missing.some(({ instant }) => isWithin(instant, [gap])))
  })
}

/**
 * Nothing comes twice as long as a stream goes on exactly; afterwards only under the id that it had. Gives how often.
 */
function judgeRepeats ({ chapters }: Story, accuse: Accuse): number {
  const seen = new Set<string>()
  let stretch = new Set<string>()
  let repeats = 0
  for (const chapter of chapters) {
    const [hello] = chapter.heard
    if (hello?.type === 'hello' && !hello.resumed) stretch = new Set()
    for (const { id } of eventsOf(chapter)) {
      if (stretch.has(id)) accuse('doubled', `${id}, while the stream went on exactly`)
      else if (seen.has(id)) repeats++
      stretch.add(id)
      seen.add(id)
    }
  }
  return repeats
}

function judgeForm ({ heard }: Chapter, accuse: Accuse): void {
  heard.forEach((each, index) => {
    if ((each.type === 'hello') !== (index === 0)) accuse('form', `frame ${index} is ${each.type}`)
    if (each.type === 'end' && index < heard.length - 1) accuse('form', `after the end came ${heard[index + 1]?.type}`)
    if (each.type === 'gap' && each.from > each.to) accuse('form', 'a gap that ends before it begins')
  })
}

/** From the log: as the events entered, by instant but for late ones. From Kubiya: by instant, within one replay. */
function judgeOrder (chapter: Chapter, newest: Instant, accuse: Accuse): void {
  let live: HeardEvent | undefined
  let past: HeardEvent | undefined
  for (const event of eventsOf(chapter)) {
    const { instant, late, place } = event
    if (place.kind === 'replay') {
      if (past?.place.offset === place.offset && instant < past.instant) {
        accuse('disorder', `${event.id} after ${past.id} in a replay`)
      }
      past = event
      continue
    }
    if (live !== undefined && place.offset <= live.place.offset) {
      accuse('disorder', `place ${place.offset} after ${live.place.offset}`)
    }
    // The mark of a place is an instant that the log had seen by then, never past the upstream's clock.
    if (live !== undefined && !late && instant < live.place.mark) {
      accuse('disorder', `${event.id} is late, and not called so`)
    }
    if (late && instant >= newest) accuse('disorder', `${event.id} is called late`)
    live = event
  }
}

function sum (numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}
