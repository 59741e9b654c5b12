/** Why a stream ends, how a WebSocket says so, and whether coming back with the cursor makes sense. */
export interface CloseReason {
  readonly reason: 'timeout' | 'shutdown' | 'slow' | 'max-age' | 'unauthorized'
  readonly closeCode: number
  readonly reconnect: boolean
}

export const CLOSE = {
  timeout: { reason: 'timeout', closeCode: 1000, reconnect: false },
  shutdown: { reason: 'shutdown', closeCode: 1001, reconnect: true },
  'max-age': { reason: 'max-age', closeCode: 1001, reconnect: true },
  slow: { reason: 'slow', closeCode: 4408, reconnect: true },
  unauthorized: { reason: 'unauthorized', closeCode: 4401, reconnect: true }
} as const satisfies Record<CloseReason['reason'], CloseReason>

/** A client sent a message: the protocol has none in that direction. */
export const CLIENT_MESSAGE = { closeCode: 4400, reason: 'clients send no messages' } as const

/** A client sends control frames without end. */
export const FLOODED = { closeCode: 4429, reason: 'too many control frames' } as const
