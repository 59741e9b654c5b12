import { randomBytes } from 'node:crypto'
import type { Credential } from './credential.ts'

export const TICKET_MS = 30_000
const TICKET_BYTES = 24
const MOST_PER_CALLER = 100
const MOST = 20_000

interface Ticket {
  readonly holder: string
  readonly credential: Credential | 'none'
  readonly origin: string | undefined
  readonly cancel: () => void
}

/** Stand in for a credential where a header cannot be set: each for one stream, for half a minute. */
export interface Tickets {
  /** `undefined`: there are as many as may be, of this caller or in all. */
  issue (holder: string, credential: Credential | 'none', origin: string | undefined): string | undefined
  /**
   * The credential that a ticket stands for; `undefined` where it is used, over, made up, or not this page's. `own`:
   * the service's own origin, where a page of it may have sent the request without an `Origin`.
   */
  redeem (ticket: string, origin: string | undefined, own?: string): Credential | 'none' | undefined
  /** Forgets all of them. */
  close (): void
}

/** A ticket is for the page that asked for it, if it was one, and is used up by any try. */
export function createTickets (setTimer: (callback: () => void, waitMs: number) => () => void): Tickets {
  const tickets = new Map<string, Ticket>()
  const held = new Map<string, number>()
  return { issue, redeem, close }

  function issue (holder: string, credential: Credential | 'none', origin: string | undefined): string | undefined {
    const before = held.get(holder) ?? 0
    if (tickets.size >= MOST || before >= MOST_PER_CALLER) return undefined
    const id = randomBytes(TICKET_BYTES).toString('base64url')
    tickets.set(id, { holder, credential, origin, cancel: setTimer(() => take(id), TICKET_MS) })
    held.set(holder, before + 1)
    return id
  }

  function redeem (id: string, origin: string | undefined, own?: string): Credential | 'none' | undefined {
    const ticket = take(id)
    if (ticket === undefined) return undefined
    const isHolder = ticket.origin === origin || (origin === undefined && ticket.origin === own)
    return isHolder ? ticket.credential : undefined
  }

  function take (id: string): Ticket | undefined {
    const ticket = tickets.get(id)
    if (ticket === undefined) return undefined
    ticket.cancel()
    tickets.delete(id)
    const left = (held.get(ticket.holder) ?? 1) - 1
    if (left > 0) held.set(ticket.holder, left)
    else held.delete(ticket.holder)
    return ticket
  }

  function close (): void {
    for (const id of [...tickets.keys()]) take(id)
  }
}
