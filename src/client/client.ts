import { streamAddress } from './url.ts'
import type { AuditStream, AuditStreamError, AuditStreamOptions, Frame, WebSocketConstructor } from './types.ts'
import { createReconnectingStream } from './reconnecting.ts'
import { createSeenIds } from './seen-ids.ts'
import { createEventBuffer } from './event-buffer.ts'

export type * from './types.ts'

const REMEMBERED = 50_000
const MAX_PENDING = 10_000
const MAX_PENDING_TEXT = 16 * 1024 * 1024 // UTF-16 code units.
const BACK_OFF = { leastMs: 250, mostMs: 30_000 }

/**
 * Follows audit events with `for await`. Delivers each event once, also after a lost connection or a restart of the
 * service.
 */
export function openAuditStream (options: AuditStreamOptions): AuditStream {
  const { maxPending = MAX_PENDING, signal } = options
  const pending = createEventBuffer()
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

  const stream: AuditStream = {
    get cursor () { return pending.size() === 0 ? connection.cursor() : pending.cursor() },
    next,
    async return () {
      finish()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]: () => stream
  }
  return stream

  async function next (): ReturnType<AuditStream['next']> {
    if (signal?.aborted === true) finish()
    if (state === 'idle') {
      signal?.addEventListener('abort', finish)
      run()
    }
    const result = pending.take()
    if (state === 'paused' && pending.size() === 0) run()
    return result
  }

  function run (): void {
    state = 'running'
    connection.connect()
  }

  function onFrame (frame: Frame, before: string | undefined, size: number): void {
    switch (frame.type) {
      case 'event': return receive(frame, before, size)
      case 'hello': return callHook(options.onHello, frame)
      case 'gap': return callHook(options.onGap, frame)
      case 'status':
      case 'heartbeat': return callHook(options.onStatus, frame)
    } // Unknown types are ignored: a later version of the service may add some.
  }

  function receive (frame: Extract<Frame, { type: 'event' }>, before: string | undefined, size: number): void {
    if (!isNew(frame.event.id)) return
    pending.add(frame, before, size)
    if (pending.size() < Math.max(1, maxPending) && pending.textLength() < MAX_PENDING_TEXT) return
    connection.disconnect() // The service keeps later events. The stream continues from the cursor.
    state = 'paused'
  }

  function callHook<Value> (hook: ((value: Value) => void) | undefined, value: Value): void {
    try {
      hook?.(value)
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
