import type { CLOSE } from '../live/transport/close-codes.ts'
import { socketAddress } from './url.ts'
import { backOffMs } from './back-off.ts'
import { openConnection } from './connection.ts'
import type {
  AuditStreamOptions,
  BackOffBounds,
  EndFrame,
  Frame,
  Loss,
  Reconnection,
  WebSocketConstructor
} from './types.ts'
import { createFailure } from './failure.ts'
import { cursorOf } from './frame.ts'
import { fetchRefusal, finalProblem, retryAfterSeconds, type Refusal } from './rejection.ts'
import { fetchTicket, isUnauthorized } from './ticket.ts'

export interface ReconnectingStreamOptions {
  /** The HTTP address of the stream after a cursor. */
  readonly addressAt: (cursor: string | undefined) => URL
  readonly since: string | undefined
  readonly credential: AuditStreamOptions['credential']
  readonly backOff: BackOffBounds
  readonly WebSocket: WebSocketConstructor
  readonly fetch: NonNullable<AuditStreamOptions['fetch']>
  /** `before` is the cursor before the frame, `size` the length of its text. */
  readonly onFrame: (frame: Frame, before: string | undefined, size: number) => void
  readonly onReconnect: (reconnection: Reconnection) => void
  /** Called when the stream does not reconnect: after a final failure, or at the end of the stream. */
  readonly onOver: (failure?: unknown) => void
}

/** A stream that reconnects when its connection is lost. */
export interface ReconnectingStream {
  /** The cursor after the newest frame; before the first frame, the cursor to begin from. */
  cursor (): string | undefined
  connect (): void
  /** Closes the connection, or stops the wait for one. No callback follows until `connect` is called. */
  disconnect (): void
}

/** A request that `disconnect` can cancel. */
interface Cancellable {
  readonly abort: AbortController
  isActive (): boolean
}

const UNAUTHORIZED: typeof CLOSE['unauthorized']['closeCode'] = 4401
const MOST_RETRY_AFTER_SECONDS = 300

export function createReconnectingStream (options: ReconnectingStreamOptions): ReconnectingStream {
  const { credential } = options
  let cursor = options.since
  let attempt = 0
  let isRefused = false // Whether the last credential was refused. A second refusal in a row ends the stream.
  let cancel = () => {}
  return { cursor: () => cursor, connect, disconnect: () => cancel() }

  function connect (): void {
    try {
      const address = options.addressAt(cursor)
      if (credential === undefined) return open(address, undefined)
      const request = beginRequest()
      follow(authorize(credential, address, request), request)
    } catch (error) {
      options.onOver(error) // A browser denies some WebSockets, for example `ws:` from a page over `https:`.
    }
  }

  /** An unexpected error ends the stream. */
  function follow (work: Promise<void>, request: Cancellable): void {
    work.catch((error: unknown) => { if (request.isActive()) options.onOver(error) })
  }

  async function authorize (source: NonNullable<typeof credential>, address: URL, request: Cancellable): Promise<void> {
    const authorization = typeof source === 'string' ? source : await source()
    if (!request.isActive()) return
    const answer = await fetchTicket(address, options.fetch, authorization, request.abort)
    if (!request.isActive()) return
    if (!('ticket' in answer)) return isUnauthorized(answer) ? onUnauthorized() : onRefused(answer)
    isRefused = false
    const ticketed = new URL(address)
    ticketed.searchParams.set('ticket', answer.ticket)
    open(ticketed, authorization)
  }

  function open (address: URL, authorization: string | undefined): void {
    const handlers = { onFrame, onInvalidFrame, onLasting, onLost }
    const { close } = openConnection({ address: socketAddress(address), WebSocket: options.WebSocket, ...handlers })
    cancel = close

    function onFrame (frame: Frame, size: number): void {
      const before = cursor
      cursor = cursorOf(frame) ?? cursor
      if (frame.type === 'end') {
        close()
        return onEnd(frame)
      }
      options.onFrame(frame, before, size)
    }

    /** Resets the back-off only now, because a service may send a frame and then fail. */
    function onLasting (): void {
      attempt = 0
    }

    function onInvalidFrame (): void {
      close()
      options.onOver(
        createFailure('invalid-frame', `The server at ${address.origin} sent a message that is not a frame.`)
      )
    }

    function onLost (loss: Loss): void {
      if (loss.code === UNAUTHORIZED) return onUnauthorized()
      if (loss.reason === 'failed') return diagnose(address, authorization)
      reconnect(loss)
    }
  }

  function onEnd ({ reason, reconnect: mayReconnect }: EndFrame): void {
    if (reason === 'unauthorized') return onUnauthorized()
    if (mayReconnect) return reconnect({ reason })
    options.onOver()
  }

  /** Tries a new credential, once, if the option `credential` is a function. */
  function onUnauthorized (): void {
    if (typeof credential !== 'function' || isRefused) return refuse()
    isRefused = true
    reconnect({ reason: 'unauthorized' })
  }

  function refuse (): void {
    options.onOver(createFailure('unauthorized', 'The service refused the credential, or no longer accepts it.'))
  }

  function diagnose (address: URL, authorization: string | undefined): void {
    const request = beginRequest()
    const plain = new URL(address)
    plain.searchParams.delete('ticket') // A ticket is valid once.
    const answer = fetchRefusal(plain, options.fetch, authorization, request.abort)
    follow(answer.then((refusal) => { if (request.isActive()) onRefused(refusal) }), request)
  }

  function beginRequest (): Cancellable {
    const abort = new AbortController()
    let isActive = true
    cancel = () => {
      isActive = false
      abort.abort()
    }
    return { abort, isActive: () => isActive }
  }

  function onRefused (refusal: Refusal): void {
    const problem = finalProblem(refusal)
    if (problem !== undefined) return options.onOver(createFailure(problem.code, problem.detail, problem))
    reconnect({ reason: 'failed', status: refusal.status }, retryAfterSeconds(refusal, MOST_RETRY_AFTER_SECONDS) * 1000)
  }

  function reconnect (loss: Loss, leastMs = 0): void {
    const waitMs = leastMs + backOffMs(attempt++, options.backOff, Math.random)
    const timer = setTimeout(connect, waitMs)
    cancel = () => clearTimeout(timer)
    options.onReconnect({ ...loss, waitMs })
  }
}
