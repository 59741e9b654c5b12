import type { Problem } from '../problems.ts'
import type { AuditStreamOptions } from './contract.ts'

/** What a service says that takes no connection; nothing where it says nothing, or not to this page. */
export interface Refusal {
  readonly status?: number
  readonly problem?: Problem
}

const PROBLEM = 'application/problem+json'
const ANSWER_MS = 10_000
const FINAL = [400, 401, 403, 404]

/**
 * Asks the same address over HTTP, as WebSockets do not tell the status and the problem. The service looks at the parameters
 * first and then answers 406, because a problem is all that is asked for.
 */
export async function askWhy (address: URL, fetch: NonNullable<AuditStreamOptions['fetch']>, authorization: string | undefined, asking: AbortController): Promise<Refusal> {
  const timer = setTimeout(() => asking.abort(), ANSWER_MS)
  try {
    const headers = { accept: PROBLEM, ...authorization !== undefined && { authorization } }
    return await readRefusal(await fetch(address, { headers, signal: asking.signal }))
  } catch {
    return {} // Nobody there, or the page may not read the answer.
  } finally {
    clearTimeout(timer)
    asking.abort() // Whoever answers in our place may go on for ever.
  }
}

export async function readRefusal (response: Response): Promise<Refusal> {
  const { status } = response
  if (response.headers.get('content-type')?.startsWith(PROBLEM) !== true) return { status }
  return { status, problem: await response.json() as Problem }
}

/** The problem that coming back would meet again. Without one it was not the service that answered. */
export function finalProblem ({ problem }: Refusal): Problem | undefined {
  return problem !== undefined && FINAL.includes(problem.status) ? problem : undefined
}
