/** Visits each of many members once in a period, spread over it as they came; one timer for all of them. */
export interface Wheel<Member> {
  /** Is visited a period from now, and so on. */
  add (member: Member): void
  delete (member: Member): void
  stop (): void
}

const MOST_SLOTS = 40
const LEAST_TICK_MS = 10

/** Turns once in `periodMs`. A visit may come early by a fortieth of that, never late but for a busy event loop. */
export function createWheel<Member> (periodMs: number, visit: (members: ReadonlySet<Member>) => void): Wheel<Member> {
  const slots = Array.from({ length: Math.max(1, Math.min(MOST_SLOTS, Math.floor(periodMs / LEAST_TICK_MS))) }, () => new Set<Member>())
  let at = 0
  const timer = setInterval(turn, periodMs / slots.length).unref()

  return {
    add: (member) => { slots[at]?.add(member) },
    delete: (member) => { slots.find((slot) => slot.delete(member)) },
    stop: () => clearInterval(timer)
  }

  function turn (): void {
    at = (at + 1) % slots.length
    const due = slots[at]
    if (due !== undefined && due.size > 0) visit(due)
  }
}
