import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { spelled, type Spelled } from './query.ts'

/** One received request. */
export interface ReceivedRequest {
  /** Milliseconds since 1970, by the sandbox's clock. */
  readonly at: number
  readonly method: string
  readonly path: string
  /** The query string, undecoded and without its `?`. */
  readonly search: string
  readonly query: Spelled
  readonly headers: IncomingHttpHeaders
  /** 0 until an answer is sent. */
  status: number
}

/** The received requests, and how many were in progress at once. */
export interface RequestLog {
  readonly requests: readonly ReceivedRequest[]
  asked: () => number
  inFlight: () => number
  mostInFlight: () => number
  reset: () => void
  enter: (request: IncomingMessage, response: ServerResponse) => ReceivedRequest
}

const MAX_REQUESTS = 10_000

export function createRequestLog (now: () => number): RequestLog {
  const requests: ReceivedRequest[] = []
  let asked = 0
  let inFlight = 0
  let mostInFlight = 0

  return { requests, asked: () => asked, inFlight: () => inFlight, mostInFlight: () => mostInFlight, reset, enter }

  function enter (request: IncomingMessage, response: ServerResponse): ReceivedRequest {
    const record = recordOf(request, now())
    requests.push(record)
    if (requests.length > MAX_REQUESTS) requests.shift()
    asked++
    inFlight++
    mostInFlight = Math.max(mostInFlight, inFlight)
    let open = true
    // A complete response emits `finish`; one that was cut off emits `close` only.
    response.once('finish', leave)
    response.once('close', leave)
    return record

    function leave (): void {
      if (open) inFlight--
      open = false
    }
  }

  function reset (): void {
    requests.length = 0
    asked = 0
    mostInFlight = inFlight
  }
}

function recordOf (request: IncomingMessage, at: number): ReceivedRequest {
  const [path = '', ...rest] = (request.url ?? '').split('?')
  const search = rest.join('?')
  const query = spelled(new URLSearchParams(search))
  return { at, method: request.method ?? '', path, search, query, headers: request.headers, status: 0 }
}
