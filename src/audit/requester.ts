import type { AuditSource, Failure } from './source.ts'

/** Who wants something of the past that may have to be asked for. */
export interface Requester {
  /** Names the caller whose share it is. */
  readonly key: string
  /** Takes so many events ahead; a failure where this caller may not have them now. */
  reserve (events: number): Reservation | Failure
  /**
   * Calls back when the requester has hung up, unless the function that it gives is called before. Without it, it
   * stays.
   */
  onDisconnect? (listener: () => void): () => void
}

/** Events that were taken ahead. */
export interface Reservation {
  readonly ok: true
  /** So many were read: what was not taken ahead is taken now. */
  read (events: number): void
  /** Gives back what was taken ahead and not read. */
  end (): void
}

/** Reserves events while something is read. The reservation ends however the read ends. */
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

/** A source that notes what it gives. */
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
