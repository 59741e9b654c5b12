import type { Problem } from '../problems.ts'
import { readAnswer, type Answer } from './http-answer.ts'
import type { AuditStreamOptions } from './types.ts'
import { isBetween, isText } from './values.ts'

/** Why the service refused a connection. Empty: it did not answer, or the page may not read the answer. */
export interface Refusal {
  readonly status?: number
  readonly problem?: Problem
}

const PROBLEM = 'application/problem+json'
const FINAL = [400, 401, 403, 404]

/**
 * Requests the same address over HTTP, because a WebSocket does not reveal the status and the problem. The service
 * checks the parameters first and then answers 406, because the request accepts problems only.
 */
export async function fetchRefusal (
  address: URL,
  fetch: NonNullable<AuditStreamOptions['fetch']>,
  authorization: string | undefined,
  abort: AbortController
): Promise<Refusal> {
  const headers = { accept: PROBLEM, ...authorization !== undefined && { authorization } }
  const answer = await readAnswer((signal) => fetch(address, { headers, redirect: 'error', signal }), abort)
  return answer === undefined ? {} : readRefusal(answer)
}

/** Reads a refusal. A problem without the required fields is ignored. */
export function readRefusal ({ body, contentType, status }: Answer): Refusal {
  if (!contentType.startsWith(PROBLEM)) return { status }
  const { code, detail, errors = [], status: claimed } = body ?? {}
  const isProblem = isText(code) && typeof detail === 'string' && isBetween(claimed) && Array.isArray(errors)
  return isProblem ? { status, problem: body as Problem } : {}
}

/** The problem that a reconnect would meet again. `undefined`: another try may succeed. */
export function finalProblem ({ problem }: Refusal): Problem | undefined {
  return problem !== undefined && FINAL.includes(problem.status) ? problem : undefined
}

/** The wait that the service asks for, in seconds. An invalid value counts as 0. */
export function retryAfterSeconds ({ problem }: Refusal, most: number): number {
  const seconds: unknown = problem?.retry_after
  return isBetween(seconds) ? Math.min(seconds, most) : 0
}
