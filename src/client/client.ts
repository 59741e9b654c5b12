import { streamAddress } from './url.ts'
import type {
  AuditFrame,
  AuditFramesOptions,
  AuditStream,
  AuditStreamError,
  AuditStreamOptions,
  Frame,
  PublishedEvent,
  WebSocketConstructor
} from './types.ts'
import { createReconnectingStream } from './reconnecting.ts'
import { createSeenIds } from './seen-ids.ts'
import { createPendingValues } from './pending-values.ts'

export type * from './types.ts'

const REMEMBERED = 50_000
const MAX_PENDING = 10_000
const MAX_PENDING_TEXT = 16 * 1024 * 1024 // UTF-16 code units.
const BACK_OFF = { leastMs: 250, mostMs: 30_000 }

/**
 * Follows audit events with `for await`. Delivers each event once, also after a lost connection or a restart of the
 * service.
 */
export function openAuditStream (options: AuditStreamOptions): AuditStream<PublishedEvent> {
  return openStream(options, (frame) => frame.type === 'event' ? frame.event : undefined, options.onGap)
}

/**
 * Follows the frames of events and gaps in the order of the stream, so that a gap stands where events may be missing.
 * Each event comes once, with `late` if it became visible after newer ones.
 */
export function openAuditFrames (options: AuditFramesOptions): AuditStream<AuditFrame> {
  return openStream(options, (frame) => frame)
}

/** Both kinds of streams. `valueOf` returns what a frame is to the consumer. `undefined`: nothing. */
function openStream<Value> (
  options: AuditFramesOptions,
  valueOf: (frame: AuditFrame) => Value | undefined,
  onGap?: AuditStreamOptions['onGap']
): AuditStream<Value> {
  const { maxPending = MAX_PENDING, signal } = options
  const pending = createPendingValues<Value>()
  const isNew = createSeenIds(options.remembered ?? REMEMBERED, options.known ?? [])
  const connection = createReconnectingStream({
    addressAt: (cursor) => streamAddress(options, cursor),
    since: options.since,
    credential: options.credential,
    backOff: { ...BACK_OFF, ...options.backOff },
    WebSocket: options.WebSocket ?? ownWebSocket(),
    fetch: options.fetch ?? ((...request) => fetch(...request)), // A browser's `fetch` fails with another `this`.
    onFrame,
    onReconnect: (reconnection) => callHook(options.onReconnect, reconnection),
    onOver
  })
  let state: 'idle' | 'running' | 'paused' | 'over' = 'idle'
  streamAddress(options, undefined) // Throws at once if the URL is invalid.

  const stream: AuditStream<Value> = {
    get cursor () { return pending.count() === 0 ? connection.cursor() : pending.cursor() },
    next,
    async return () {
      finish()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]: () => stream
  }
  return stream

  async function next (): ReturnType<AuditStream<Value>['next']> {
    if (signal?.aborted === true) finish()
    if (state === 'idle') {
      signal?.addEventListener('abort', finish)
      run()
    }
    const result = pending.take()
    if (state === 'paused' && pending.count() === 0) run()
    return result
  }

  function run (): void {
    state = 'running'
    connection.connect()
  }

  function onFrame (frame: Frame, before: string | undefined, size: number): void {
    switch (frame.type) {
      case 'event': return isNew(frame.event.id) ? receive(frame, before, size) : undefined
      case 'gap':
        callHook(onGap, frame)
        return receive(frame, before, size)
      case 'hello': return callHook(options.onHello, frame)
      case 'expiring': return callHook(options.onExpiring, frame)
      case 'status':
      case 'heartbeat': return callHook(options.onStatus, frame)
    } // Unknown types are ignored: a later version of the service may add some.
  }

  function receive (frame: AuditFrame, before: string | undefined, size: number): void {
    const value = valueOf(frame)
    if (value === undefined) return
    pending.add(value, { before, after: frame.cursor, size })
    if (pending.count() < Math.max(1, maxPending) && pending.textLength() < MAX_PENDING_TEXT) return
    connection.disconnect() // The service keeps later events. The stream continues from the cursor.
    state = 'paused'
  }

  function callHook<Argument> (hook: ((argument: Argument) => void) | undefined, argument: Argument): void {
    try {
      hook?.(argument)
    } catch (error) {
      connection.disconnect()
      onOver(error)
    }
  }

  function onOver (failure?: unknown): void {
    state = 'over'
    signal?.removeEventListener('abort', finish)
    pending.end(failure)
  }

  function finish (): void {
    connection.disconnect()
    pending.clear()
    onOver()
  }
}

export function isAuditStreamError (error: unknown): error is AuditStreamError {
  return error instanceof Error && error.name === 'AuditStreamError'
}

function ownWebSocket (): WebSocketConstructor {
  const { WebSocket } = globalThis as { WebSocket?: WebSocketConstructor }
  if (WebSocket === undefined) {
    throw new TypeError('No global WebSocket: set the option `WebSocket`, for example to that of `ws`.')
  }
  return WebSocket
}
