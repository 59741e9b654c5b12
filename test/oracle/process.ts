import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, readdir } from 'node:fs/promises'
import { createInterface } from 'node:readline'

/** The built service as a process of its own. */
export interface ServiceProcess {
  readonly url: string
  /** What it logged as an error or worse. */
  readonly errors: readonly string[]
  /** Resolves when it is gone. */
  end (signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Memory that it holds, bytes. */
  memoryBytes (): Promise<number>
  /** Open files and sockets. */
  descriptors (): Promise<number>
}

const MAIN = 'dist/main.js'
const LEAST_ERROR_LEVEL = 50

/** Starts it on a free port; resolves when it listens. */
export async function startProcess (
  environment: Record<string, string>,
  onLine: (line: string) => void = () => {}
): Promise<ServiceProcess> {
  const child = spawn(process.execPath, ['--enable-source-maps', MAIN], {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  process.once('exit', () => child.kill('SIGKILL')) // Whatever ends us.
  const errors: string[] = []
  const gone = once(child, 'close')
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      onLine(line)
      const { level, msg } = JSON.parse(line) as { level: number, msg: string }
      if (level >= LEAST_ERROR_LEVEL) errors.push(line)
      const heard = /listens on (\S+)$/.exec(msg)?.[1]
      if (heard !== undefined) resolve(heard)
    })
    gone.then(() => reject(new Error('the service has ended before it listened')), reject)
  })
  return {
    url,
    errors,
    async end (signal) {
      child.kill(signal)
      await gone
    },
    memoryBytes: () => memoryOf(child),
    descriptors: () => descriptorsOf(child)
  }
}

/** Where there is no /proc, nothing is known. */
async function memoryOf ({ pid }: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${pid ?? 0}/status`, 'utf8').catch(() => '')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
}

async function descriptorsOf ({ pid }: ChildProcess): Promise<number> {
  return (await readdir(`/proc/${pid ?? 0}/fd`).catch(() => [])).length
}
