import type { Problem } from '../problems.ts'
import { readAnswer, type Answer } from './http-answer.ts'
import type { AuditStreamOptions } from './types.ts'
import { isBetween, isText } from './values.ts'

/** What a service says that takes no connection; nothing where it says nothing, or not to this page. */
export interface Refusal {
  readonly status?: number
  readonly problem?: Problem
}

const PROBLEM = 'application/problem+json'
const FINAL = [400, 401, 403, 404]

/**
 * Asks the same address over HTTP, as WebSockets do not tell the status and the problem. The service looks at the
 * parameters first and then answers 406, because a problem is all that is asked for.
 */
export async function askWhy (
  address: URL,
  fetch: NonNullable<AuditStreamOptions['fetch']>,
  authorization: string | undefined,
  asking: AbortController
): Promise<Refusal> {
  const headers = { accept: PROBLEM, ...authorization !== undefined && { authorization } }
  const answer = await readAnswer((signal) => fetch(address, { headers, redirect: 'error', signal }), asking)
  return answer === undefined ? {} : readRefusal(answer)
}

/** A problem that lacks what every problem of the service has says nothing. */
export function readRefusal ({ body, contentType, status }: Answer): Refusal {
  if (!contentType.startsWith(PROBLEM)) return { status }
  const { code, detail, errors = [], status: claimed } = body ?? {}
  const isProblem = isText(code) && typeof detail === 'string' && isBetween(claimed) && Array.isArray(errors)
  return isProblem ? { status, problem: body as Problem } : {}
}

/** The problem that coming back would meet again. Without one it was not the service that answered. */
export function finalProblem ({ problem }: Refusal): Problem | undefined {
  return problem !== undefined && FINAL.includes(problem.status) ? problem : undefined
}

/** How long the service asks to be left alone, at least. A word that makes no sense counts as none. */
export function retryAfterSeconds ({ problem }: Refusal, most: number): number {
  const seconds: unknown = problem?.retry_after
  return isBetween(seconds) ? Math.min(seconds, most) : 0
}
