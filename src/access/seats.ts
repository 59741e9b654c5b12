/** A live stream's place among those that may be had. */
export interface Seat<Stream> {
  /** Given up; no harm if it was before. */
  release (): void
  /** From now on the stream is ended when its caller is refused. */
  occupy (stream: Stream): void
}

/** The live streams of all callers, bounded in number for each of them and in all. */
export interface Seats<Stream> {
  take (key: string): Seat<Stream> | 'none' | 'none-of-its-own'
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

export function createSeats<Stream> ({ end, most, mostPerCaller }: SeatsOptions<Stream>): Seats<Stream> {
  const rows = new Map<string, Row<Stream>>()
  let size = 0
  return { take, size: () => size, revoke }

  function take (key: string): Seat<Stream> | 'none' | 'none-of-its-own' {
    const row = rows.get(key) ?? { seats: new Set(), end, onLeft: () => leave(key) }
    if (size >= most) return 'none'
    if (mostPerCaller > 0 && row.seats.size >= mostPerCaller) return 'none-of-its-own'
    const seat = new TakenSeat(row)
    rows.set(key, row)
    row.seats.add(seat)
    size++
    return seat
  }

  function leave (key: string): void {
    size--
    if (rows.get(key)?.seats.size === 0) rows.delete(key)
  }

  function revoke (key: string): void {
    for (const seat of [...rows.get(key)?.seats ?? []]) seat.revoke()
  }
}

/** All seats of one caller. */
interface Row<Stream> {
  readonly seats: Set<TakenSeat<Stream>>
  readonly end: (stream: Stream) => void
  readonly onLeft: () => void
}

/** A class, not closures for each: there are many thousands. */
class TakenSeat<Stream> implements Seat<Stream> {
  private readonly row: Row<Stream>
  private stream: Stream | undefined
  private isRevoked = false

  constructor (row: Row<Stream>) {
    this.row = row
  }

  release (): void {
    if (this.row.seats.delete(this)) this.row.onLeft()
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
