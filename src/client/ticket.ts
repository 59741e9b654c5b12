import type { Problem } from '../problems.ts'
import type { AuditStreamOptions } from './contract.ts'
import { readRefusal, type Refusal } from './refusal.ts'

const ANSWER_MS = 10_000

/** Gets a ticket for one connection, with the credential that a WebSocket cannot send. */
export async function fetchTicket (stream: URL, fetch: NonNullable<AuditStreamOptions['fetch']>, authorization: string, asking: AbortController): Promise<{ readonly ticket: string } | Refusal> {
  const timer = setTimeout(() => asking.abort(), ANSWER_MS)
  try {
    const address = new URL(stream)
    address.pathname += '/tickets'
    address.search = ''
    const response = await fetch(address, { method: 'POST', headers: { authorization }, signal: asking.signal })
    return response.status === 201 ? await response.json() as { ticket: string } : await readRefusal(response)
  } catch {
    return {}
  } finally {
    clearTimeout(timer)
    asking.abort()
  }
}

/** Whether another credential is what is wanted. */
export function isUnauthorized ({ problem }: { readonly problem?: Problem | undefined }): boolean {
  return problem?.status === 401
}
