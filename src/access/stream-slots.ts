/** A live stream's place among those that may be had. */
export interface Slot<Stream> {
  /** Given up; no harm if it was before. */
  release (): void
  /** From now on the stream is ended when its caller is refused. */
  occupy (stream: Stream): void
}

/** The live streams of all callers, bounded in number for each of them and in all. */
export interface StreamSlots<Stream> {
  take (key: string): Slot<Stream> | 'none' | 'none-of-its-own'
  size (): number
  /** Ends the streams of a caller who is admitted no more. */
  revoke (key: string): void
}

export interface SeatsOptions<Stream> {
  readonly most: number
  /** 0: as many as there are in all. */
  readonly mostPerCaller: number
  readonly end: (stream: Stream) => void
}

export function createStreamSlots<Stream> ({ end, most, mostPerCaller }: SeatsOptions<Stream>): StreamSlots<Stream> {
  const rows = new Map<string, Row<Stream>>()
  let size = 0
  return { take, size: () => size, revoke }

  function take (key: string): Slot<Stream> | 'none' | 'none-of-its-own' {
    const row = rows.get(key) ?? { slots: new Set(), end, onLeft: () => leave(key) }
    if (size >= most) return 'none'
    if (mostPerCaller > 0 && row.slots.size >= mostPerCaller) return 'none-of-its-own'
    const slot = new TakenSeat(row)
    rows.set(key, row)
    row.slots.add(slot)
    size++
    return slot
  }

  function leave (key: string): void {
    size--
    if (rows.get(key)?.slots.size === 0) rows.delete(key)
  }

  function revoke (key: string): void {
    for (const slot of [...rows.get(key)?.slots ?? []]) slot.revoke()
  }
}

/** All slots of one caller. */
interface Row<Stream> {
  readonly slots: Set<TakenSeat<Stream>>
  readonly end: (stream: Stream) => void
  readonly onLeft: () => void
}

/** A class, not closures for each: there are many thousands. */
class TakenSeat<Stream> implements Slot<Stream> {
  private readonly row: Row<Stream>
  private stream: Stream | undefined
  private isRevoked = false

  constructor (row: Row<Stream>) {
    this.row = row
  }

  release (): void {
    if (this.row.slots.delete(this)) this.row.onLeft()
  }

  occupy (stream: Stream): void {
    this.stream = stream
    if (this.isRevoked) this.row.end(stream)
  }

  revoke (): void {
    this.isRevoked = true
    if (this.stream !== undefined) this.row.end(this.stream)
  }
}
