/** Why a stream ends, how a WebSocket says so, and whether coming back with the cursor makes sense. */
export interface Ending {
  readonly reason: 'timeout' | 'shutdown' | 'slow' | 'max-age' | 'unauthorized'
  readonly closeCode: number
  readonly mayReturn: boolean
}

export const ENDINGS = {
  timeout: { reason: 'timeout', closeCode: 1000, mayReturn: false },
  shutdown: { reason: 'shutdown', closeCode: 1001, mayReturn: true },
  'max-age': { reason: 'max-age', closeCode: 1001, mayReturn: true },
  slow: { reason: 'slow', closeCode: 4408, mayReturn: true },
  unauthorized: { reason: 'unauthorized', closeCode: 4401, mayReturn: true }
} as const satisfies Record<Ending['reason'], Ending>

/** A client sent a message: the protocol has none in that direction. */
export const CLIENT_MESSAGE = { closeCode: 4400, reason: 'clients send no messages' } as const

/** A client sends control frames without end. */
export const FLOOD = { closeCode: 4429, reason: 'too many control frames' } as const
