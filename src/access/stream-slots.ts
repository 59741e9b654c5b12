/** The right to one live stream. */
export interface Slot<Stream> {
  /** Gives the slot back. A second call does nothing. */
  release (): void
  /** Ties a stream to the slot: it ends when its caller is revoked. */
  occupy (stream: Stream): void
}

/** Limits live streams, for each caller and in total. */
export interface StreamSlots<Stream> {
  take (key: string): Slot<Stream> | 'none' | 'none-of-its-own'
  size (): number
  /** Ends all streams of a caller whose credential is no longer accepted. */
  revoke (key: string): void
}

export interface StreamSlotsOptions<Stream> {
  readonly max: number
  /** 0: the total is the only limit. */
  readonly maxPerCaller: number
  readonly end: (stream: Stream) => void
}

export function createStreamSlots<Stream> (
  { end, max, maxPerCaller }: StreamSlotsOptions<Stream>
): StreamSlots<Stream> {
  const callers = new Map<string, CallerSlots<Stream>>()
  let size = 0
  return { take, size: () => size, revoke }

  function take (key: string): Slot<Stream> | 'none' | 'none-of-its-own' {
    const own = callers.get(key) ?? { slots: new Set(), end, onRelease: () => forget(key) }
    if (size >= max) return 'none'
    if (maxPerCaller > 0 && own.slots.size >= maxPerCaller) return 'none-of-its-own'
    const slot = new TakenSlot(own)
    callers.set(key, own)
    own.slots.add(slot)
    size++
    return slot
  }

  function forget (key: string): void {
    size--
    if (callers.get(key)?.slots.size === 0) callers.delete(key)
  }

  function revoke (key: string): void {
    for (const slot of [...callers.get(key)?.slots ?? []]) slot.revoke()
  }
}

/** All slots of one caller. */
interface CallerSlots<Stream> {
  readonly slots: Set<TakenSlot<Stream>>
  readonly end: (stream: Stream) => void
  readonly onRelease: () => void
}

/** A class: there are many thousands of slots, and closures for each would take several times the memory. */
class TakenSlot<Stream> implements Slot<Stream> {
  private readonly own: CallerSlots<Stream>
  private stream: Stream | undefined
  private isRevoked = false

  constructor (own: CallerSlots<Stream>) {
    this.own = own
  }

  release (): void {
    if (this.own.slots.delete(this)) this.own.onRelease()
  }

  occupy (stream: Stream): void {
    this.stream = stream
    if (this.isRevoked) this.own.end(stream)
  }

  revoke (): void {
    this.isRevoked = true
    if (this.stream !== undefined) this.own.end(this.stream)
  }
}
