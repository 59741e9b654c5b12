import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { scrape, type Figures } from './figures.ts'

/** What a process holds, bytes. */
export interface Held {
  readonly heapUsed: number
  readonly heapTotal: number
  readonly external: number
  readonly arrayBuffers: number
  readonly rss: number
}

/** The built service as a process of its own whose memory can be looked at. */
export interface Measured {
  readonly url: string
  figures (): Promise<Figures>
  /** Once all garbage is collected. */
  held (): Promise<Held>
  /** As it is. */
  holds (): Promise<Held>
  end (): Promise<void>
}

/** What accounts for what is held. */
export interface Known {
  readonly base: Held
  readonly logBytes: number
  readonly cacheBytes: number
}

export const MIB = 1024 * 1024
const HELD_PER_LOG_BYTE = 3 // The text, the values, and what there is for each event whatever its size.
const ID_BYTES = 60
const COLLECTIONS = 4
const MAIN = 'dist/main.js'
// Finalizers of buffers run between turns, and free what the next collection then finds.
const PROBE = `process.on('message', async ({ turns }) => {
  for (let turn = 0; turn < turns; turn++) {
    globalThis.gc()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  process.send(process.memoryUsage())
})`
const FLAGS = ['--expose-gc', '--import', `data:text/javascript,${encodeURIComponent(PROBE)}`, '--enable-source-maps']
const NO_LIMITS = {
  PORT: '0',
  KUBIYA_REQUESTS_PER_MINUTE: '0',
  KUBIYA_REQUESTS_PER_DAY: '0',
  MAX_LOOP_DELAY_MS: '0',
  DRAIN_MS: '0'
}

/** Starts it on a free port, without budgets; resolves when it listens. */
export async function startMeasured (environment: Record<string, string>): Promise<Measured> {
  const env = { PATH: process.env.PATH, ...NO_LIMITS, ...environment }
  const child = spawn(process.execPath, [...FLAGS, MAIN], { env, stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  process.once('exit', () => child.kill('SIGKILL')) // Whatever ends us.
  const gone = once(child, 'close')
  const lines = createInterface({ input: child.stdout ?? process.stdin })
  const url = await new Promise<string>((resolve, reject) => {
    gone.then(() => reject(new Error('the service has ended before it listened')), reject)
    lines.on('line', (line) => {
      const heard = /listens on (http\S+?)"/.exec(line)?.[1]
      if (heard !== undefined) resolve(heard)
    })
  })
  return {
    url,
    figures: () => scrape({ metricsUrl: `${url}/metrics` }),
    held: () => look(COLLECTIONS),
    holds: () => look(0),
    async end () {
      child.kill('SIGKILL')
      await gone
    }
  }

  async function look (turns: number): Promise<Held> {
    const told = once(child, 'message')
    child.send({ turns })
    const [held] = await told as [Held]
    return held
  }
}

/** What is held beyond what the process began with, its log and its cache. */
export function unaccounted ({ external, heapUsed }: Held, known: Known): number {
  const { base, logBytes, cacheBytes } = known
  return heapUsed + external - base.heapUsed - base.external - HELD_PER_LOG_BYTE * logBytes - cacheBytes
}

/** What an item comes to in the log: it is given an id. */
export function publishedBytes (item: object): number {
  return JSON.stringify(item).length + ID_BYTES
}

/** All series of a figure together. */
export async function sum ({ figures }: Measured, name: string): Promise<number> {
  const read = await figures()
  return read.all(name).reduce((total, series) => total + read.of(series), 0)
}

export function mib (bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`
}
