import { EventEmitter, once } from 'node:events'
import type { Frame } from '../../src/live/transport/frames.ts'
import { checkFrame } from './frame-check.ts'

/** The frames that a stream has brought so far, whatever brought them. */
export interface Inbox {
  readonly frames: Frame[]
  take (frame: Frame): void
  events (): Array<Record<string, any>>
  /** Resolves with the first frame, past or to come, that passes. */
  until (passes: (frame: Frame) => boolean): Promise<Frame>
  /** Resolves when so many events have come. */
  untilEvents (count: number): Promise<void>
}

/**
 * When to give up waiting: late, for a machine may have much else to do, and where all is well nobody waits so long.
 */
export const DEADLINE_MS = 90_000

export function createInbox (): Inbox {
  const frames: Frame[] = []
  const received: Array<Record<string, any>> = []
  const arrivals = new EventEmitter()
  arrivals.setMaxListeners(0)

  return {
    frames,
    events: () => received,
    take (frame) {
      checkFrame(frame)
      frames.push(frame)
      if (frame.type === 'event') received.push(frame.event as Record<string, any>)
      arrivals.emit('frame')
    },
    async until (passes) {
      const deadline = AbortSignal.timeout(DEADLINE_MS)
      for (let seen = 0; ;) {
        for (; seen < frames.length; seen++) {
          const frame = frames[seen]
          if (frame !== undefined && passes(frame)) return frame
        }
        await another(deadline)
      }
    },
    async untilEvents (count) {
      const deadline = AbortSignal.timeout(DEADLINE_MS)
      while (received.length < count) await another(deadline)
    }
  }

  async function another (signal: AbortSignal): Promise<void> {
    await once(arrivals, 'frame', { signal }).catch(() => {
      const kinds = frames.slice(-5).map((frame) => frame.type === 'status' ? `status ${frame.upstream}` : frame.type)
      throw new Error(
        `what was waited for has not come; ${received.length} events came, the last frames were ${kinds.join(', ')}`
      )
    })
  }
}
