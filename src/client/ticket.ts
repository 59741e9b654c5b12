import type { Problem } from '../problems.ts'
import { readAnswer } from './http-answer.ts'
import type { AuditStreamOptions } from './types.ts'
import { readRefusal, type Refusal } from './rejection.ts'
import { isText } from './values.ts'

const CREATED = 201
const LONGEST_TICKET = 1000 // Characters. The URL of the stream contains it.

/** Requests a ticket for one connection, because a WebSocket in a page cannot send a credential. */
export async function fetchTicket (
  stream: URL,
  fetch: NonNullable<AuditStreamOptions['fetch']>,
  authorization: string,
  abort: AbortController
): Promise<{ readonly ticket: string } | Refusal> {
  const address = new URL(stream)
  address.pathname += '/tickets'
  address.search = ''
  const answer = await readAnswer(
    (signal) => fetch(address, { method: 'POST', headers: { authorization }, redirect: 'error', signal }),
    abort
  )
  if (answer === undefined) return {}
  const ticket = answer.body?.ticket
  return answer.status === CREATED && isText(ticket, LONGEST_TICKET) ? { ticket } : readRefusal(answer)
}

/** Whether the credential was refused. */
export function isUnauthorized ({ problem }: { readonly problem?: Problem | undefined }): boolean {
  return problem?.status === 401
}
