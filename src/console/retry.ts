import type { Trouble } from './api.ts'

const LEAST_RETRY_MS = 2000
const MOST_RETRY_MS = 60_000

/** How long to wait after a failure; `undefined`: the same request would fail again. */
export function retryMs ({ retryAfter, status }: Trouble, failures: number): number | undefined {
  if (retryAfter !== undefined) return Math.min(MOST_RETRY_MS, Math.max(LEAST_RETRY_MS, retryAfter * 1000))
  if (status >= 400 && status < 500) return undefined
  return Math.min(MOST_RETRY_MS, LEAST_RETRY_MS * 2 ** Math.min(5, failures - 1))
}
