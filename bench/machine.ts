import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'

/** Whether processes can be kept on one CPU each. */
export const canPin: boolean = cpus().length > 1 && isThere('taskset')
export const nginx: string | undefined = isThere('nginx') ? 'nginx' : undefined
const NCHAN = ['/usr/lib/nginx/modules/ngx_nchan_module.so', '/usr/share/nginx/modules/ngx_nchan_module.so']
/** nginx's module for streams, where it is installed. */
export const nchanModule: string | undefined = NCHAN.find((path) => readOr(path, '') !== '')

/** What a figure depends on besides the code. */
export function describeMachine (): string[] {
  const [cpu] = cpus()
  return [
    `${cpu?.model.trim() ?? 'CPU'}, ${cpus().length} virtual, ${
      Math.round(totalmem() / 2 ** 30)
    } GiB, Linux ${release()}`,
    `Node ${process.versions.node}, fastify ${versionOf('fastify')}, ws ${versionOf('ws')}, undici ${
      versionOf('undici')
    }, ${nginx === undefined ? 'no nginx' : nginxVersion()}`
  ]
}

/** Ticks of all CPUs so far, and those of them that the host gave to others. */
export function readSteal (): { readonly all: number, readonly stolen: number } {
  const ticks = (/^cpu +(.*)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1] ?? '').split(' ').map(Number).slice(0, 8)
  return { all: ticks.reduce((sum, each) => sum + each, 0), stolen: ticks[7] ?? 0 }
}

/** The share of CPU time that was stolen since. */
export function stealSince (before: ReturnType<typeof readSteal>): number {
  const now = readSteal()
  return now.all === before.all ? 0 : (now.stolen - before.stolen) / (now.all - before.all)
}

/** Most files that a process may have open. */
export function openFilesLimit (): number {
  return Number(/^Max open files +\d+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1024)
}

function versionOf (name: string): string {
  const { version } = JSON.parse(readOr(`node_modules/${name}/package.json`, '{"version":"?"}')) as { version: string }
  return version
}

function nginxVersion (): string {
  return /nginx\/[\d.]+/.exec(execFileSync('sh', ['-c', 'nginx -v 2>&1'], { encoding: 'utf8' }))?.[0] ?? 'nginx'
}

function isThere (command: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function readOr (path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return otherwise
  }
}
