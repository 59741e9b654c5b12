import type { Problem } from '../problems.ts'
import { readAnswer } from './http-answer.ts'
import type { AuditStreamOptions } from './types.ts'
import { readRefusal, type Refusal } from './rejection.ts'
import { isText } from './values.ts'

const CREATED = 201
const LONGEST_TICKET = 1000 // Characters: it goes into a URL.

/** Gets a ticket for one connection, with the credential that a WebSocket cannot send. */
export async function fetchTicket (
  stream: URL,
  fetch: NonNullable<AuditStreamOptions['fetch']>,
  authorization: string,
  asking: AbortController
): Promise<{ readonly ticket: string } | Refusal> {
  const address = new URL(stream)
  address.pathname += '/tickets'
  address.search = ''
  const answer = await readAnswer(
    (signal) => fetch(address, { method: 'POST', headers: { authorization }, redirect: 'error', signal }),
    asking
  )
  if (answer === undefined) return {}
  const ticket = answer.body?.ticket
  return answer.status === CREATED && isText(ticket, LONGEST_TICKET) ? { ticket } : readRefusal(answer)
}

/** Whether another credential is what is wanted. */
export function isUnauthorized ({ problem }: { readonly problem?: Problem | undefined }): boolean {
  return problem?.status === 401
}
