import { htmlAnswer, jsonAnswer, refusal, type Answer } from './response.ts'
import type { CannedFault, Fault } from './faults.ts'

/** The answer with which a fault replaces the normal one. `undefined`: another kind of fault. */
export function cannedAnswer (fault: Fault): Answer | undefined {
  switch (fault.kind) {
    case 'status': return statusAnswer(fault)
    case 'html': return htmlAnswer()
    case 'empty-body': return jsonAnswer('')
    case 'body': return jsonAnswer(fault.body)
    case 'redirect': return { status: 302, headers: { location: fault.location }, body: '' }
    default: return undefined
  }
}

/** The first half of an answer, sent as if it were complete. */
export function truncatedAnswer (answer: Answer): Answer {
  return { ...answer, body: answer.body.slice(0, Math.ceil(answer.body.length / 2)) }
}

function statusAnswer ({ status, headers, body }: Extract<CannedFault, { kind: 'status' }>): Answer {
  return body === undefined ? refusal(status, 'scripted fault', headers) : jsonAnswer(body, status, headers)
}
