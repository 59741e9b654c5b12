import type { Clock } from '../../clock.ts'

/** Visits each of many members once in a period, with one timer. Visits are spread as the members were added. */
export interface TimingWheel<Member> {
  /** Adds a member: its first visit is one period from now. */
  add (member: Member): void
  delete (member: Member): void
  stop (): void
}

const MOST_SLOTS = 40
const LEAST_TICK_MS = 10

/**
 * Turns once in `periodMs`. A visit is early by at most a fortieth of that, and late only if the event loop is late.
 * Each tick reads the clock: in a busy process, the delays of timers would add up.
 */
export function createTimingWheel<Member> (
  periodMs: number,
  visit: (members: ReadonlySet<Member>) => void,
  { monotonicMs, setTimer }: Clock
): TimingWheel<Member> {
  const slots = Array.from(
    { length: Math.max(1, Math.min(MOST_SLOTS, Math.floor(periodMs / LEAST_TICK_MS))) },
    () => new Set<Member>()
  )
  const slotMs = periodMs / slots.length
  let turned = 0 // Slots since the wheel began to turn.
  let turnedMs = monotonicMs()
  let cancelTurn = setTimer(turn, slotMs)

  return {
    add: (member) => { slots[turned % slots.length]?.add(member) },
    delete: (member) => { slots.find((slot) => slot.delete(member)) },
    stop: () => cancelTurn()
  }

  function turn (): void {
    const nowMs = monotonicMs()
    const due: Array<ReadonlySet<Member>> = []
    for (; nowMs - turnedMs >= slotMs; turnedMs += slotMs) due.push(slots[++turned % slots.length] ?? new Set())
    cancelTurn = setTimer(turn, turnedMs + slotMs - nowMs) // Before the visits: a visit may throw, or stop the wheel.
    for (const members of due) if (members.size > 0) visit(members)
  }
}
