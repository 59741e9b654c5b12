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
import { askWhy, finalProblem, retryAfterSeconds, type Refusal } from './rejection.ts'
import { fetchTicket, isUnauthorized } from './ticket.ts'

export interface LineOptions {
  /** Where to connect over HTTP, to go on behind a cursor. */
  readonly addressAt: (cursor: string | undefined) => URL
  readonly since: string | undefined
  readonly credential: AuditStreamOptions['credential']
  readonly backOff: BackOffBounds
  readonly WebSocket: WebSocketConstructor
  readonly fetch: NonNullable<AuditStreamOptions['fetch']>
  /** `before` is the place that it goes on from, `size` the length of its text. */
  readonly onFrame: (frame: Frame, before: string | undefined, size: number) => void
  readonly onReconnect: (reconnection: Reconnection) => void
  /** It is not connected again: with a failure, or because the stream has come to its end. */
  readonly onOver: (failure?: unknown) => void
}

/** A connection that is made again whenever it is lost. */
export interface ReconnectingStream {
  /** The place behind the newest frame; before the first, where it is to begin. */
  cursor (): string | undefined
  connect (): void
  /** Drops the connection, or the wait for one; until `connect` nothing is called any more. */
  disconnect (): void
}

/** A question that can be taken back. */
interface Asking {
  readonly abort: AbortController
  isWanted (): boolean
}

const UNAUTHORIZED: typeof CLOSE['unauthorized']['closeCode'] = 4401
const MOST_RETRY_AFTER_SECONDS = 300

export function createLine (options: LineOptions): ReconnectingStream {
  const { credential } = options
  let cursor = options.since
  let attempt = 0
  let isRefused = false // The last credential was: the next one that is, is the last.
  let hangUp = () => {}
  return { cursor: () => cursor, connect, disconnect: () => hangUp() }

  function connect (): void {
    try {
      const address = options.addressAt(cursor)
      if (credential === undefined) return open(address, undefined)
      const asking = beginAsking()
      follow(authorize(credential, address, asking), asking)
    } catch (error) {
      options.onOver(error) // A page may not open just any WebSocket.
    }
  }

  /** What goes wrong there ends the stream: nobody else hears of it. */
  function follow (work: Promise<void>, asking: Asking): void {
    work.catch((error: unknown) => { if (asking.isWanted()) options.onOver(error) })
  }

  async function authorize (given: NonNullable<typeof credential>, address: URL, asking: Asking): Promise<void> {
    const authorization = typeof given === 'string' ? given : await given()
    if (!asking.isWanted()) return
    const answer = await fetchTicket(address, options.fetch, authorization, asking.abort)
    if (!asking.isWanted()) return
    if (!('ticket' in answer)) return isUnauthorized(answer) ? onUnauthorized() : onRefused(answer)
    isRefused = false
    const ticketed = new URL(address)
    ticketed.searchParams.set('ticket', answer.ticket)
    open(ticketed, authorization)
  }

  function open (address: URL, authorization: string | undefined): void {
    const handlers = { onFrame, onLasting, onLost, onNonsense }
    const { close } = openConnection({ address: socketAddress(address), WebSocket: options.WebSocket, ...handlers })
    hangUp = close

    function onFrame (frame: Frame, size: number): void {
      const before = cursor
      cursor = cursorOf(frame) ?? cursor
      if (frame.type === 'end') {
        close()
        return onEnd(frame)
      }
      options.onFrame(frame, before, size)
    }

    /** Only now: a service that says something and falls over is none to hurry back to. */
    function onLasting (): void {
      attempt = 0
    }

    function onNonsense (): void {
      close()
      options.onOver(createFailure('invalid-frame', `What answers at ${address.origin} is no audit stream.`))
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

  /** Where there may be a fresh credential it is tried, once. */
  function onUnauthorized (): void {
    if (typeof credential !== 'function' || isRefused) return refuse()
    isRefused = true
    reconnect({ reason: 'unauthorized' })
  }

  function refuse (): void {
    options.onOver(createFailure('unauthorized', 'The service does not accept the caller\'s credential, or no longer.'))
  }

  function diagnose (address: URL, authorization: string | undefined): void {
    const asking = beginAsking()
    const plain = new URL(address)
    plain.searchParams.delete('ticket') // It is used up.
    const asked = askWhy(plain, options.fetch, authorization, asking.abort)
    follow(asked.then((refusal) => { if (asking.isWanted()) onRefused(refusal) }), asking)
  }

  function beginAsking (): Asking {
    const abort = new AbortController()
    let isWanted = true
    hangUp = () => {
      isWanted = false
      abort.abort()
    }
    return { abort, isWanted: () => isWanted }
  }

  function onRefused (refusal: Refusal): void {
    const problem = finalProblem(refusal)
    if (problem !== undefined) return options.onOver(createFailure(problem.code, problem.detail, problem))
    reconnect({ reason: 'failed', status: refusal.status }, retryAfterSeconds(refusal, MOST_RETRY_AFTER_SECONDS) * 1000)
  }

  function reconnect (loss: Loss, leastMs = 0): void {
    const waitMs = leastMs + backOffMs(attempt++, options.backOff, Math.random)
    const timer = setTimeout(connect, waitMs)
    hangUp = () => clearTimeout(timer)
    options.onReconnect({ ...loss, waitMs })
  }
}
