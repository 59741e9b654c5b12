import type { AuditSource, Failure } from './source.ts'

/** A caller whose request may need reads of the upstream. */
export interface Requester {
  /** Identifies the caller whose share pays for the reads. */
  readonly key: string
  /** Reserves events of the caller's share. A failure if the share does not allow them now. */
  reserve (events: number): Reservation | Failure
  /**
   * Registers a listener for the caller's disconnect, and returns its removal. Absent: the caller never disconnects.
   */
  onDisconnect? (listener: () => void): () => void
}

/** Events that were charged before the read. */
export interface Reservation {
  readonly ok: true
  /** Counts events that were read. Those beyond the reservation are charged now. */
  read (events: number): void
  /** Refunds the events that were reserved and not read. */
  end (): void
}

/** Reserves events during a read. The reservation ends with the read, also after an error. */
export async function withReservation<T> (
  requester: Requester,
  events: number,
  read: (reservation: Reservation) => Promise<T | Failure>
): Promise<T | Failure> {
  const reservation = requester.reserve(events)
  if (!reservation.ok) return reservation
  try {
    return await read(reservation)
  } finally {
    reservation.end()
  }
}

/** Decorates a source: counts the events of each answer in the reservation. */
export function metered (source: AuditSource, reservation: Reservation): AuditSource {
  return {
    quirks: source.quirks,
    reportQuirk: source.reportQuirk,
    async read (query, purpose) {
      const answer = await source.read(query, purpose)
      if (answer.ok) reservation.read(answer.rows)
      return answer
    },
    async find (id, purpose) {
      const found = await source.find(id, purpose)
      if (found.ok && found.event !== undefined) reservation.read(1)
      return found
    }
  }
}
