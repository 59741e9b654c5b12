import type { Draft } from './event-templates.ts'
import type { Item } from './entry.ts'
import { pauseUs, quickPauseUs } from './pacing.ts'
import { seededRandom, type Random } from './random.ts'
import {
  alert, conversation, exampleAgentConversation, exampleConversation, lostTrigger, mishap, refusedSignIn, signIn,
  workflow, type Scene
} from './scenarios.ts'

export const HOUR_MS = 3_600_000

type Play = (random: Random) => Scene

interface Stage {
  open: Scene[]
  /** Scenes that every hour must contain, and their earliest start. */
  due: Array<{ fromUs: number, play: Play }>
}

const HOUR_US = HOUR_MS * 1000
const CURTAIN_US = HOUR_US - 180_000_000
const MOST_AT_ONCE = 3
// A scene is as frequent as the number of its entries here.
const LONG_SCENES: readonly [Play, ...Play[]] = [
  conversation, conversation, conversation, conversation, alert, alert, workflow, signIn, signIn, lostTrigger
]
const SHORT_SCENES: readonly [Play, ...Play[]] = [signIn, signIn, signIn, lostTrigger]

/** The events of one clock hour (counted from 1970), oldest first: a function of the seed and the hour alone. */
export function eventsOfHour (seed: number, hour: number): Item[] {
  const random = seededRandom(`${seed}/${hour}`)
  const stage: Stage = { open: [], due: dueScenes(random, hour) }
  const events: Item[] = []
  let atUs = random.integer(0, 1_000_000)
  let writtenUs = 0
  while (atUs < HOUR_US) {
    for (const { fields, quick } of nextDrafts(random, stage, atUs)) {
      if (quick) atUs += quickPauseUs(random)
      if (atUs >= HOUR_US) break
      const { text, us } = spelledInstant(random, hour, atUs, writtenUs)
      events.push({ ...fields, timestamp: text })
      writtenUs = us
    }
    atUs += pauseUs(random, hour % 24)
  }
  return events
}

/** Scenes of every hour, so that the examples of the documentation always find events. */
function dueScenes (random: Random, hour: number): Stage['due'] {
  const plays = [exampleAgentConversation, workflow, refusedSignIn, mishap, alert]
  if (hour % 3 === 0) plays.push(exampleConversation)
  return plays.map((play) => ({ fromUs: random.integer(60_000_000, 2_400_000_000), play }))
}

/** Takes the next event of an open scene, with the events that follow it at once. */
function nextDrafts (random: Random, stage: Stage, atUs: number): Draft[] {
  openScene(random, stage, atUs)
  const place = random.integer(0, stage.open.length - 1)
  const scene = stage.open[place] ?? []
  const nextBeat = scene.findIndex(({ quick }, at) => at > 0 && !quick)
  if (nextBeat !== -1) return scene.splice(0, nextBeat)
  stage.open.splice(place, 1)
  return scene
}

function openScene (random: Random, { open, due }: Stage, atUs: number): void {
  const ripe = due.findIndex(({ fromUs }) => fromUs <= atUs)
  const [owed] = ripe === -1 ? [] : due.splice(ripe, 1)
  if (owed !== undefined) open.push(owed.play(random))
  // Scenes end within their hour, so that each hour can be generated alone.
  const late = atUs > CURTAIN_US
  const wanted = open.length === 0 || (!late && open.length < MOST_AT_ONCE && random.chance(0.15))
  if (wanted) open.push(random.pick(late ? SHORT_SCENES : LONG_SCENES)(random))
}

/** Writes an instant in one of several forms, never before the last one. */
function spelledInstant (random: Random, hour: number, atUs: number, writtenUs: number): { text: string, us: number } {
  const draw = random.fraction()
  const stepUs = draw < 0.12 ? 1000 : draw < 0.16 ? 1_000_000 : 1
  const rounded = atUs - atUs % stepUs
  const digits = rounded < writtenUs || stepUs === 1 ? 6 : stepUs === 1000 ? 3 : 0
  const us = digits === 6 ? atUs : rounded
  const second = new Date(hour * HOUR_MS + Math.floor(us / 1000)).toISOString().slice(0, 19)
  const fraction = digits === 0 ? '' : '.' + String(us % 1_000_000).padStart(6, '0').slice(0, digits)
  return { text: `${second}${fraction}${draw > 0.93 ? '+00:00' : 'Z'}`, us }
}
