import { setTimeout as sleep } from 'node:timers/promises'
import { freePort, listening, startProgram, type Child } from '../child.ts'
import { startNchan } from '../nginx.ts'
import { STREAM, startService } from '../service.ts'
import type { Contender } from '../slices.ts'

export interface Pace { readonly events: number, readonly everyMs: number }

/** One that sends to many sockets, with those that hold them. */
export interface Sender {
  /** The process whose CPU counts. */
  readonly server: Child
  readonly generator: Child
  contender (name: string, pace: Pace, sliceMs: number): Contender
  /** Bytes that a delivered message took, since the last question. */
  bytesPerMessage (): Promise<number>
  stop (): Promise<void>
}

interface Counts {
  readonly messages: number
  readonly bytes: number
  readonly closed: number
  readonly inflated: number
}

const SETTLE_MS = 2000

export interface Audience {
  readonly subscribers: number
  readonly paths?: readonly string[]
  readonly extensions?: string
}

/** The service; polls as often as events come. */
export async function serviceSender (
  group: Audience,
  pollMs: number,
  environment: Record<string, string> = {}
): Promise<Sender> {
  const service = await startService({
    POLL_INTERVAL_MS: String(pollMs),
    POLL_MAX_INTERVAL_MS: String(pollMs),
    ...environment
  })
  return senderOf(service, service.upstream, service.port, { paths: [STREAM], ...group })
}

export async function peerSender (program: 'peers/readme-loop' | 'peers/net-loop', group: Audience): Promise<Sender> {
  const port = await freePort()
  const server = startProgram('measured', program)
  await server.ask({ listen: port })
  return senderOf(server, server, port, { paths: ['/stream'], ...group })
}

export async function nchanSender (group: Audience): Promise<Sender | undefined> {
  const port = await freePort()
  const server = startNchan(port)
  if (server === undefined) return undefined
  await listening(port)
  const publisher = startProgram('measuring', 'peers/nchan-publisher')
  await publisher.ask({ listen: port })
  return senderOf(server, publisher, port, { paths: ['/stream'], ...group })
}

async function senderOf (
  server: Child,
  ticker: Child,
  port: number,
  group: Audience & { readonly paths: readonly string[] }
): Promise<Sender> {
  const generator = startProgram('measuring', 'subscribers')
  await generator.ask({
    open: {
      port,
      paths: group.paths,
      count: group.subscribers,
      ...group.extensions !== undefined && { extensions: group.extensions }
    }
  })
  const counts = () => generator.ask<Counts>({ counts: true })
  let last = await counts()

  return {
    server,
    generator,
    contender: (name, pace, sliceMs) => ({ name, slice: () => slice(pace, sliceMs) }),
    async bytesPerMessage () {
      const now = await counts()
      const [bytes, messages] = [now.bytes - last.bytes, now.messages - last.messages]
      last = now
      if (group.extensions !== undefined && now.inflated === 0) throw new Error('nothing was compressed')
      return bytes / messages
    },
    async stop () {
      await Promise.all([...new Set([generator, ticker, server])].map((child) => child.stop()))
    }
  }

  async function slice (pace: Pace, sliceMs: number): Promise<{ micros: number, units: number }> {
    await ticker.ask({ tick: pace })
    await sleep(SETTLE_MS)
    const [before, microsBefore] = [await counts(), server.cpuMicros()]
    await sleep(sliceMs)
    const [after, microsAfter] = [await counts(), server.cpuMicros()]
    await ticker.ask({ tick: null })
    await sleep(SETTLE_MS)
    if (after.closed > 0) throw new Error(`${after.closed} connections were lost`)
    return { micros: microsAfter - microsBefore, units: after.messages - before.messages }
  }
}
