import WebSocket from 'ws'
import { openAuditStream } from '../../src/client/client.ts'
import type {
  AuditStream,
  AuditStreamOptions,
  GapFrame,
  HelloFrame,
  PublishedEvent,
  Reconnection,
  StatusFrame,
  HeartbeatFrame,
  WebSocketConstructor
} from '../../src/client/types.ts'
import { eventually } from '../support/support.ts'

interface Owner { teardown (action: () => unknown): void }

/** Takes events as fast as they come, and keeps all that it hears. */
export interface Consumer {
  readonly stream: AuditStream
  readonly events: PublishedEvent[]
  readonly gaps: GapFrame[]
  readonly hellos: HelloFrame[]
  readonly losses: Reconnection[]
  readonly statuses: Array<StatusFrame | HeartbeatFrame>
  numbers (): unknown[]
  untilEvents (count: number): Promise<void>
  /** Resolves with what the iteration threw, or `undefined`. */
  readonly ended: Promise<unknown>
}

const { WebSocket: own } = globalThis as { WebSocket?: WebSocketConstructor }

/** Quick to come back, and by the WebSocket that Node has; Node 20 has none. */
export const QUICK = { WebSocket: own ?? WebSocket, backOff: { leastMs: 5, mostMs: 50 } } as const

/** What the test numbered the event with. */
export function numberOf (event: PublishedEvent & { n?: unknown }): unknown {
  return event.n
}

export function consume (t: Owner, options: AuditStreamOptions): Consumer {
  const events: PublishedEvent[] = []
  const gaps: GapFrame[] = []
  const hellos: HelloFrame[] = []
  const losses: Reconnection[] = []
  const statuses: Array<StatusFrame | HeartbeatFrame> = []
  const stream = openAuditStream({
    ...QUICK,
    onGap: (gap) => gaps.push(gap),
    onHello: (hello) => hellos.push(hello),
    onReconnect: (loss) => losses.push(loss),
    onStatus: (status) => statuses.push(status),
    ...options
  })
  t.teardown(() => stream.return())
  return {
    stream,
    events,
    gaps,
    hellos,
    losses,
    statuses,
    numbers: () => events.map(numberOf),
    untilEvents: (count) => eventually(`${count} events have come`, () => events.length >= count),
    ended: follow().catch((error: unknown) => error)
  }

  async function follow (): Promise<void> {
    for await (const event of stream) events.push(event)
  }
}
