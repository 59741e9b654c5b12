import { randomBytes } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Credential } from './caller.ts'

export const TICKET_MS = 30_000
const TICKET_BYTES = 24
const MAX_PER_CALLER = 100
const MAX_TICKETS = 20_000

interface Ticket {
  readonly holder: string
  readonly credential: Credential | 'none'
  readonly bond: string | undefined
  readonly cancelTimer: () => void
}

/** Tickets replace a credential where a page cannot set a header. Each is valid for one request within 30 seconds. */
export interface Tickets {
  /**
   * A ticket with its bond: the origin of the page that may use it, or the query that it is for. `undefined`: this
   * caller, or all callers together, have the maximum number of unused tickets.
   */
  issue (holder: string, credential: Credential | 'none', bond: string | undefined): string | undefined
  /**
   * The credential behind a ticket. `undefined`: the ticket is used, expired, unknown, or has another bond. `own` is the
   * service's own origin, when a page of it may have sent the request without `Origin`.
   */
  redeem (ticket: string, bond: string | undefined, own?: string): Credential | 'none' | undefined
  /** Drops all tickets. */
  close (): void
}

/** Any attempt to use a ticket consumes it. */
export function createTickets (clock: Pick<Clock, 'setTimer'>): Tickets {
  const tickets = new Map<string, Ticket>()
  const counts = new Map<string, number>()
  return { issue, redeem, close }

  function issue (holder: string, credential: Credential | 'none', bond: string | undefined): string | undefined {
    const count = counts.get(holder) ?? 0
    if (tickets.size >= MAX_TICKETS || count >= MAX_PER_CALLER) return undefined
    const id = randomBytes(TICKET_BYTES).toString('base64url')
    tickets.set(id, { holder, credential, bond, cancelTimer: clock.setTimer(() => take(id), TICKET_MS) })
    counts.set(holder, count + 1)
    return id
  }

  function redeem (id: string, bond: string | undefined, own?: string): Credential | 'none' | undefined {
    const ticket = take(id)
    if (ticket === undefined) return undefined
    const isBound = ticket.bond === bond || (bond === undefined && ticket.bond === own)
    return isBound ? ticket.credential : undefined
  }

  function take (id: string): Ticket | undefined {
    const ticket = tickets.get(id)
    if (ticket === undefined) return undefined
    ticket.cancelTimer()
    tickets.delete(id)
    const count = (counts.get(ticket.holder) ?? 1) - 1
    if (count > 0) counts.set(ticket.holder, count)
    else counts.delete(ticket.holder)
    return ticket
  }

  function close (): void {
    for (const id of [...tickets.keys()]) take(id)
  }
}
