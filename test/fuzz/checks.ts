/** What went wrong, with what was sent. */
export interface Findings {
  readonly list: string[]
  /** Notes a fault unless the condition holds. */
  expect (holds: boolean, what: string, sent: unknown): void
}

const MOST = 20
const LONGEST = 400

export function createFindings (): Findings {
  const list: string[] = []
  return {
    list,
    expect (holds, what, sent) {
      if (!holds && list.length < MOST) list.push(`${what}: ${JSON.stringify(sent).slice(0, LONGEST)}`)
    }
  }
}

function isKubiyaError (status: number, body: string): boolean {
  const error = JSON.parse(body) as Record<string, unknown>
  return error.status === status && typeof error.errorCode === 'string' && error.errorCode !== 'INTERNAL' &&
    typeof error.details === 'string' && typeof error.request_id === 'string'
}

/** Whether an answer is one of those that are documented. */
export function isTyped (status: number, type: string, body: string): boolean {
  if (status === 304) return body === ''
  if (status === 200 || status === 201) return /^(application\/json|text\/event-stream)/.test(type)
  if (status < 400) return false
  if (type.startsWith('application/json')) return isKubiyaError(status, body)
  if (!type.startsWith('application/problem+json')) return false
  const problem = JSON.parse(body) as Record<string, unknown>
  return problem.status === status && typeof problem.code === 'string' && problem.code !== 'internal' &&
    typeof problem.request_id === 'string'
}
