import type { Clock } from '../../clock.ts'

/**
 * Expiry of callers' credentials. Members that expire in the same second share a timer: a token may have many streams.
 */
export interface ExpiryTimers<Member> {
  /**
   * `warn` is called a minute before `atMs` (or at once, if that has passed), `end` at `atMs`: milliseconds since 1970.
   */
  add (member: Member, atMs: number): void
  delete (member: Member): void
  stop (): void
}

export interface ExpiryTimersOptions<Member> {
  readonly warn: (members: ReadonlySet<Member>, atMs: number) => void
  readonly end: (members: ReadonlySet<Member>) => void
  readonly clock: Clock
}

interface Group<Member> {
  readonly atMs: number
  readonly members: Set<Member>
  cancel: () => void
}

export const NOTICE_MS = 60_000
const SECOND_MS = 1000
const LONGEST_TIMER_MS = 2_147_483_647

export function createExpiryTimers<Member> ({ clock, end, warn }: ExpiryTimersOptions<Member>): ExpiryTimers<Member> {
  const groups = new Map<number, Group<Member>>()
  const groupOf = new Map<Member, Group<Member>>()
  return { add, delete: remove, stop: () => { for (const { cancel } of groups.values()) cancel() } }

  function add (member: Member, atMs: number): void {
    const second = Math.floor(atMs / SECOND_MS)
    const known = groups.get(second)
    const group = known ?? { atMs: second * SECOND_MS, members: new Set<Member>(), cancel: () => {} }
    group.members.add(member)
    groupOf.set(member, group)
    groups.set(second, group)
    if (clock.now() >= group.atMs - NOTICE_MS) warn(new Set([member]), group.atMs)
    if (known === undefined) plan(group)
  }

  function plan (group: Group<Member>): void {
    const leftMs = group.atMs - clock.now()
    const waitMs = leftMs > NOTICE_MS ? leftMs - NOTICE_MS : leftMs
    group.cancel = clock.setTimer(
      () => ring(group, leftMs > NOTICE_MS),
      Math.max(0, Math.min(waitMs, LONGEST_TIMER_MS))
    )
  }

  function ring (group: Group<Member>, isNotice: boolean): void {
    const leftMs = group.atMs - clock.now()
    if (leftMs <= 0) return end(group.members)
    if (isNotice && leftMs <= NOTICE_MS) warn(group.members, group.atMs)
    plan(group)
  }

  function remove (member: Member): void {
    const group = groupOf.get(member)
    if (group === undefined) return
    groupOf.delete(member)
    group.members.delete(member)
    if (group.members.size > 0) return
    group.cancel()
    groups.delete(Math.floor(group.atMs / SECOND_MS))
  }
}
