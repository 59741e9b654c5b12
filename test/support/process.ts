import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { eventually } from './support.ts'

interface Owner { teardown (action: () => unknown): void }

export const MAIN = 'dist/main.js'

/** The built service as a process of its own, in an environment that holds nothing else. */
export function run (t: Owner, environment: Record<string, string>, main = MAIN) {
  const child = spawn(process.execPath, ['--enable-source-maps', main], {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  t.teardown(() => child.kill('SIGKILL'))
  const lines: string[] = []
  let errors = ''
  const exited = once(child, 'close').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as string | null
  }))
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  child.stderr.on('data', (chunk) => {
    errors += String(chunk)
  })
  return {
    child,
    lines,
    exited,
    errors: () => errors,
    messages: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  }
}

export type Run = ReturnType<typeof run>

export async function listening ({ messages }: Run): Promise<string> {
  const url = () =>
    messages().map(({ msg }) => /listens on (\S+)$/.exec(String(msg))?.[1]).find((each) => each !== undefined)
  await eventually('it listens', () => url() !== undefined)
  await eventually('all is said', () => messages().some(({ msg }) => String(msg).startsWith('live:')))
  return url() ?? ''
}
