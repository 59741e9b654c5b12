import type { Clock } from '../../clock.ts'

/** Visits each of many members once in a period, spread over it as they came; one timer for all of them. */
export interface TimingWheel<Member> {
  /** Is visited a period from now, and so on. */
  add (member: Member): void
  delete (member: Member): void
  stop (): void
}

const MOST_SLOTS = 40
const LEAST_TICK_MS = 10

/**
 * Turns once in `periodMs`. A visit may come early by a fortieth of that, and late only by what the event loop is late:
 * the clock is looked at, since the ticks of a busy process get behind more and more.
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
    cancelTurn = setTimer(turn, turnedMs + slotMs - nowMs) // First: a visit may throw, or stop the wheel.
    for (const members of due) if (members.size > 0) visit(members)
  }
}
