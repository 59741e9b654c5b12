import type { Allowed } from './rate-limit.ts'
import { htmlAnswer, itemAnswer, jsonAnswer, listAnswer, refusal, type Answer, type Change } from './response.ts'
import { BEFORE_ALL, isKnownAs, type Entry } from './history/entry.ts'
import type { ReceivedRequest } from './request-log.ts'
import { rowsOf } from './select-rows.ts'
import { decoded } from './query.ts'
import type { Quirks } from './quirks.ts'
import type { Store } from './history/store.ts'

/** The answers of the API, without its faults. */
export interface Auditing {
  list: (request: ReceivedRequest, change: Change | undefined) => Answer
  item: (request: ReceivedRequest, id: string, change: Change | undefined) => Answer
  nothing: (request: ReceivedRequest) => Answer
}

const EVERYTHING = { from: BEFORE_ALL, to: -BEFORE_ALL }

export function createAuditing (
  store: Store, quirks: Quirks, apiKey: string, spend: () => Allowed | undefined
): Auditing {
  return { list, item, nothing }

  function list (request: ReceivedRequest, change: Change | undefined): Answer {
    return authorized(request, () => {
      const query = decoded(new URLSearchParams(request.search))
      if (typeof query === 'string') return refusal(400, query)
      return listAnswer(rowsOf(store, query, quirks), query.page, quirks, change)
    })
  }

  function item (request: ReceivedRequest, id: string, change: Change | undefined): Answer {
    return authorized(request, () => {
      switch (quirks.byId) {
        case 'found': return itemAnswer(entryOfId(id), quirks, change)
        case 'html': return htmlAnswer()
        case 'null': case '[]': case '{}': return jsonAnswer(quirks.byId)
        default: return refusal(Number(quirks.byId), 'no single items here')
      }
    })
  }

  function nothing (request: ReceivedRequest): Answer {
    return authorized(request, () => refusal(404, 'no such route'))
  }

  function entryOfId (id: string): Entry | undefined {
    for (const entry of store.walk(EVERYTHING, -1)) {
      if (isKnownAs(entry, id, quirks.ids)) return entry
    }
    return undefined
  }

  function authorized (request: ReceivedRequest, answer: () => Answer): Answer {
    const { authorization } = request.headers
    if (authorization !== `UserKey ${apiKey}` && authorization !== `Bearer ${apiKey}`) {
      return refusal(401, authorization === undefined ? 'an API key is required' : 'the API key is not valid')
    }
    const allowed = spend()
    if (allowed === undefined) return answer()
    const { headers, retryAfterSeconds } = allowed
    const given = retryAfterSeconds === undefined
      ? answer()
      : refusal(429, 'too many requests', { 'retry-after': String(retryAfterSeconds) })
    return { ...given, headers: { ...given.headers, ...headers } }
  }
}
