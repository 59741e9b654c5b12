import type { Problem } from '../problems.ts'
import type { AuditStreamError } from './types.ts'

export function createFailure (code: string, detail: string, problem?: Problem): AuditStreamError {
  return Object.assign(
    new Error(detail),
    { name: 'AuditStreamError', code, detail, status: problem?.status, problem } as const
  )
}
