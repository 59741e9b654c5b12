import { streamAddress } from './url.ts'
import type { AuditStream, AuditStreamError, AuditStreamOptions, Frame, WebSocketConstructor } from './types.ts'
import { createLine } from './reconnecting.ts'
import { createMemory } from './seen-ids.ts'
import { createPending } from './event-buffer.ts'

export type * from './types.ts'

const REMEMBERED = 50_000
const MAX_PENDING = 10_000
const MAX_PENDING_TEXT = 16 * 1024 * 1024 // UTF-16 code units.
const BACK_OFF = { leastMs: 250, mostMs: 30_000 }

/** Follows audit events, each once, over lost connections and restarts of the service. Made for `for await`. */
export function openAuditStream (options: AuditStreamOptions): AuditStream {
  const { maxPending = MAX_PENDING, signal } = options
  const pending = createPending()
  const isNew = createMemory(options.remembered ?? REMEMBERED, options.known ?? [])
  const line = createLine({
    addressAt: (cursor) => streamAddress(options, cursor),
    since: options.since,
    credential: options.credential,
    backOff: { ...BACK_OFF, ...options.backOff },
    WebSocket: options.WebSocket ?? ownWebSocket(),
    fetch: options.fetch ?? ((...request) => fetch(...request)), // A browser's wants no other `this`.
    onFrame,
    onReconnect: (reconnection) => tell(options.onReconnect, reconnection),
    onOver
  })
  let state: 'idle' | 'going' | 'paused' | 'over' = 'idle'
  streamAddress(options, undefined) // Throws here and now where the URL is none.

  const stream: AuditStream = {
    get cursor () { return pending.size() === 0 ? line.cursor() : pending.cursor() },
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
      go()
    }
    const taken = pending.take()
    if (state === 'paused' && pending.size() === 0) go()
    return taken
  }

  function go (): void {
    state = 'going'
    line.connect()
  }

  function onFrame (frame: Frame, before: string | undefined, size: number): void {
    switch (frame.type) {
      case 'event': return receive(frame, before, size)
      case 'hello': return tell(options.onHello, frame)
      case 'gap': return tell(options.onGap, frame)
      case 'status':
      case 'heartbeat': return tell(options.onStatus, frame)
    } // Types that this version does not know are for later ones.
  }

  function receive (frame: Extract<Frame, { type: 'event' }>, before: string | undefined, size: number): void {
    if (!isNew(frame.event.id)) return
    pending.give(frame, before, size)
    if (pending.size() < Math.max(1, maxPending) && pending.weight() < MAX_PENDING_TEXT) return
    line.disconnect() // The service keeps what comes; the cursor tells where to go on.
    state = 'paused'
  }

  function tell<What> (hook: ((what: What) => void) | undefined, what: What): void {
    try {
      hook?.(what)
    } catch (error) {
      line.disconnect()
      onOver(error)
    }
  }

  function onOver (failure?: unknown): void {
    state = 'over'
    signal?.removeEventListener('abort', finish)
    pending.end(failure)
  }

  function finish (): void {
    line.disconnect()
    pending.clear()
    onOver()
  }
}

export function isAuditStreamError (error: unknown): error is AuditStreamError {
  return error instanceof Error && error.name === 'AuditStreamError'
}

function ownWebSocket (): WebSocketConstructor {
  const { WebSocket } = globalThis as { WebSocket?: WebSocketConstructor }
  if (WebSocket === undefined) throw new TypeError('There is no WebSocket here: pass one in, such as that of `ws`.')
  return WebSocket
}
