import type { Change } from './response.ts'
import type { ReceivedRequest } from './request-log.ts'

/** Limits a fault to some requests. */
interface Limited {
  when?: (request: ReceivedRequest) => boolean
}

/** Replaces the normal answer. */
export type CannedFault =
  | { kind: 'status', status: number, headers?: Record<string, string>, body?: string }
  | { kind: 'html' }
  | { kind: 'empty-body' }
  | { kind: 'body', body: string }
  | { kind: 'redirect', location: string }

/** Delays, changes or truncates the normal answer. */
export type BentFault =
  | { kind: 'delay', delayMs: number }
  | { kind: 'held', until: Promise<unknown> }
  | { kind: 'mutate', change: Change }
  | { kind: 'truncated' }

/** A connection that misbehaves. */
export type WireFault =
  | { kind: 'hang' }
  | { kind: 'headers-then-silence' }
  | { kind: 'trickle', everyMs?: number }
  | { kind: 'reset' }
  | { kind: 'huge', bytes: number }
  | { kind: 'gzip-bomb', bytes: number }

export type Fault = (CannedFault | BentFault | WireFault) & Limited

/** Assigns faults to requests: first the queued faults, then the lasting ones, oldest first. */
export interface Faults {
  next: (fault: Fault, times?: number) => void
  /** Adds a lasting fault. Returns a function that removes it. */
  during: (fault: Fault) => () => void
  clear: () => void
}

export interface FaultQueue extends Faults {
  take: (request: ReceivedRequest) => Fault | undefined
}

export function createFaults (): FaultQueue {
  const queued: Array<{ fault: Fault, times: number }> = []
  const lasting: Array<{ fault: Fault }> = []

  return { next, during, clear, take }

  function next (fault: Fault, times = 1): void {
    if (times > 0) queued.push({ fault, times })
  }

  function during (fault: Fault): () => void {
    const entry = { fault }
    lasting.push(entry)
    return () => {
      if (lasting.includes(entry)) lasting.splice(lasting.indexOf(entry), 1)
    }
  }

  function clear (): void {
    queued.length = 0
    lasting.length = 0
  }

  function take (request: ReceivedRequest): Fault | undefined {
    const meets = ({ fault }: { fault: Fault }): boolean => fault.when?.(request) ?? true
    const entry = queued.find(meets)
    if (entry === undefined) return lasting.find(meets)?.fault
    entry.times--
    if (entry.times < 1) queued.splice(queued.indexOf(entry), 1)
    return entry.fault
  }
}
