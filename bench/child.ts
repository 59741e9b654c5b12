import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { canPin } from './machine.ts'

/** What is measured has one CPU, what measures it the other. */
export type Side = 'measured' | 'measuring'

export interface Child {
  readonly pid: number
  /** CPU time so far, user and system, microseconds; in steps of 10 ms. */
  cpuMicros (): number
  /** Resident memory, bytes. */
  residentBytes (): number
  /** Sends a command to a process of ours, resolves with its answer. */
  ask<Answer> (command: object): Promise<Answer>
  stop (): Promise<void>
}

const MICROS_PER_TICK = 10_000
const running = new Set<ChildProcess>()
process.on('exit', abandon)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))

/** Ends everything that still runs. */
export function abandon (): void {
  for (const child of running) child.kill('SIGKILL')
}

/** Starts a command on its side of the machine. What it prints goes nowhere, but errors. */
export function startChild (
  side: Side,
  command: readonly string[],
  environment: NodeJS.ProcessEnv = {},
  canTalk = false
): Child {
  const [file = '', ...rest] = canPin ? ['taskset', '-c', side === 'measured' ? '0' : '1', ...command] : command
  const stdio: StdioOptions = canTalk ? ['ignore', 'ignore', 'inherit', 'ipc'] : ['ignore', 'ignore', 'inherit']
  const child = spawn(file, rest, { stdio, env: { ...process.env, ...environment } })
  const pid = child.pid ?? 0
  let commands = 0
  running.add(child)
  child.on('exit', () => running.delete(child))

  return { pid, cpuMicros, residentBytes, ask, stop }

  function cpuMicros (): number {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ')
    return (Number(fields[11]) + Number(fields[12])) * MICROS_PER_TICK
  }

  function residentBytes (): number {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  }

  async function ask<Answer> (command: object): Promise<Answer> {
    const id = commands++
    const answered = new Promise<Answer>((resolve, reject) => {
      const gone = () => reject(new Error('the process is gone'))
      const take = (message: { id: number, answer: Answer, error?: string }) => {
        if (message.id !== id) return
        child.off('message', take).off('exit', gone)
        if (message.error === undefined) resolve(message.answer)
        else reject(new Error(message.error))
      }
      child.on('message', take).on('exit', gone)
    })
    child.send({ id, ...command })
    return answered
  }

  async function stop (): Promise<void> {
    if (!running.has(child)) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
}

/** Starts one of the bench's own programs. */
export function startProgram (side: Side, name: string, nodeFlags: readonly string[] = []): Child {
  return startChild(side, [process.execPath, ...nodeFlags, '--enable-source-maps', `dist/bench/${name}.js`], {}, true)
}

/** Resolves once something listens; fails after a while. */
export async function listening (port: number, withinMs = 20_000): Promise<void> {
  for (const startedMs = performance.now(); performance.now() - startedMs < withinMs; await sleep(20)) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false)
    ]).catch(() => false)
    socket.destroy()
    if (isOpen) return
  }
  throw new Error(`nothing listens on ${port}`)
}

/** A port that was free a moment ago. */
export async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return address !== null && typeof address === 'object' ? address.port : 0
}
