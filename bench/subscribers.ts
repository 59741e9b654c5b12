import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { constants, inflateRawSync } from 'node:zlib'
import { answer } from './commands.ts'
import { createWalker, type Counts, type OnPayload } from './message-walker.ts'

// Holds WebSockets, thousands of them, and counts what comes.

interface Wanted {
  readonly port: number
  /** Asked for in turn. */
  readonly paths: readonly string[]
  readonly count: number
  /** Value of `Sec-WebSocket-Extensions`. */
  readonly extensions?: string
}

interface Line extends Counts {
  readonly socket: Socket
  inflated: number
}

const CONNECTING_AT_ONCE = 50
const PER_ADDRESS = 20_000 // Ports of one address do not last for more.
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])
const TAIL = Buffer.from([0, 0, 0xff, 0xff])
const WINDOW_BYTES = 32_768
const shared = Buffer.alloc(256 * 1024)
let lines: Line[] = []
let messages = 0
let bytes = 0
let goal: { readonly total: number, readonly resolve: (at: string) => void } | undefined

async function open (wanted: Wanted): Promise<void> {
  for (let first = 0; first < wanted.count; first += CONNECTING_AT_ONCE) {
    const count = Math.min(CONNECTING_AT_ONCE, wanted.count - first)
    await Promise.all(Array.from({ length: count }, (_, index) => join(wanted, first + index)))
  }
}

function join ({ extensions, paths, port }: Wanted, index: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const path = paths[index % paths.length] ?? '/'
    let isUpgraded = false
    let head = Buffer.alloc(0)
    const socket = connect({
      port,
      host: '127.0.0.1',
      localAddress: `127.0.${1 + Math.floor(lines.length / PER_ADDRESS)}.1`,
      onread: {
        buffer: shared,
        callback (length) {
          bytes += length
          const chunk = shared.subarray(0, length)
          if (isUpgraded) take(chunk)
          else begin(chunk)
          return true
        }
      }
    })
    const line: Line = { socket, messages: 0, pings: 0, closed: false, inflated: 0 }
    const walker = createWalker(line, lines.length === 0 && extensions !== undefined ? inflating(line) : undefined)
    lines.push(line)
    socket.on('error', reject)
    socket.write(
      [
        `GET ${path} HTTP/1.1`,
        'Host: localhost',
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        ...extensions === undefined ? [] : [`Sec-WebSocket-Extensions: ${extensions}`],
        '',
        ''
      ].join('\r\n')
    )

    function begin (chunk: Buffer): void {
      head = Buffer.concat([head, chunk])
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      if (!head.toString('latin1', 0, 12).endsWith('101')) return reject(new Error(head.toString('latin1', 0, end)))
      isUpgraded = true
      const rest = head.subarray(end + 4)
      head = Buffer.alloc(0)
      resolve()
      take(rest)
    }

    function take (chunk: Buffer): void {
      const [before, pings] = [line.messages, line.pings]
      walker.walk(chunk)
      messages += line.messages - before
      if (line.pings > pings) socket.write(PONG)
      if (goal !== undefined && messages >= goal.total) {
        goal.resolve(String(process.hrtime.bigint()))
        goal = undefined
      }
    }
  })
}

/**
 * Reads what is compressed as a browser would, each message in the context of those before it, and fails if it is no
 * event.
 */
function inflating (line: Line): OnPayload {
  let pieces: Buffer[] = []
  let context = Buffer.alloc(0)
  return (piece, ends, isCompressed) => {
    pieces.push(Buffer.from(piece))
    if (!ends) return
    const payload = Buffer.concat(pieces)
    pieces = []
    const text = isCompressed
      ? inflateRawSync(Buffer.concat([payload, TAIL]), { dictionary: context, finishFlush: constants.Z_SYNC_FLUSH })
      : payload
    if (isCompressed) {
      context = Buffer.concat([context, text]).subarray(-WINDOW_BYTES)
      line.inflated++
    }
    const { type } = JSON.parse(text.toString()) as { type?: string }
    if (type === undefined) throw new Error('no frame')
  }
}

answer({
  open,
  counts: () => ({
    messages,
    bytes,
    inflated: lines[0]?.inflated ?? 0,
    closed: lines.filter(({ closed, socket }) => closed || socket.destroyed).length
  }),
  /** Resolves with the monotonic time at which so many messages more had come. */
  until: ({ more, withinMs }: { more: number, withinMs: number }) => Promise.race([
    new Promise<string>((resolve) => { goal = { total: messages + more, resolve } }),
    sleep(withinMs, undefined, { ref: false }).then(() => { throw new Error(`${messages} messages came in time`) })
  ]),
  close () {
    for (const { socket } of lines) socket.destroy()
    lines = []
  }
})
