import { readFileSync, readdirSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Clock } from '../clock.ts'
import type { MetricFamilies } from './metric-families.ts'

const LOOP_RESOLUTION_MS = 10
const MICROSECONDS = 1e6
const NANOSECONDS = 1e9
const OPEN_FILES_LIMIT = /^Max open files +(\d+)/m

/**
 * The metrics of the process, under the standard names of Prometheus clients. Two of the library's own metrics are
 * missing. To observe garbage collections would cost CPU time at each of them. To count handles, each scrape would list
 * all sockets.
 */
export function createProcessMetrics ({ gauge, tally }: MetricFamilies, clock: Pick<Clock, 'now'>): void {
  const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS })
  loop.enable()
  const lag = (value: number) => Number.isFinite(value) ? value / NANOSECONDS : 0
  const cpuSeconds = (...kinds: Array<keyof NodeJS.CpuUsage>) => {
    const usage = process.cpuUsage()
    return kinds.reduce((sum, kind) => sum + usage[kind], 0) / MICROSECONDS
  }

  tally('process_cpu_user_seconds_total', 'User CPU time in seconds.', () => cpuSeconds('user'))
  tally('process_cpu_system_seconds_total', 'System CPU time in seconds.', () => cpuSeconds('system'))
  tally('process_cpu_seconds_total', 'User and system CPU time in seconds.', () => cpuSeconds('user', 'system'))
  gauge(
    'process_start_time_seconds',
    'Start of the process, seconds since 1970.',
    () => (clock.now() / 1000) - process.uptime()
  )
  gauge('process_resident_memory_bytes', 'Resident memory in bytes.', () => process.memoryUsage.rss())
  gauge('process_open_fds', 'Open file descriptors.', openFiles)
  gauge('process_max_fds', 'Maximum of open file descriptors.', mostOpenFiles)
  for (const percentile of [50, 90, 99]) {
    const name = `nodejs_eventloop_lag_p${percentile}_seconds`
    gauge(
      name,
      `Event loop lag, percentile ${percentile}, since the last scrape.`,
      () => lag(loop.percentile(percentile))
    )
  }
  gauge('nodejs_eventloop_lag_mean_seconds', 'Event loop lag, mean since the last scrape.', () => lag(loop.mean))
  gauge('nodejs_eventloop_lag_max_seconds', 'Event loop lag, maximum since the last scrape.', () => {
    const seconds = lag(loop.max)
    loop.reset() // A scrape reads this metric after the other lag metrics.
    return seconds
  })
  gauge('nodejs_heap_size_total_bytes', 'Size of the heap in bytes.', () => process.memoryUsage().heapTotal)
  gauge('nodejs_heap_size_used_bytes', 'Used part of the heap in bytes.', () => process.memoryUsage().heapUsed)
  gauge(
    'nodejs_external_memory_bytes',
    'Memory outside the heap in bytes, mostly buffers.',
    () => process.memoryUsage().external
  )
  gauge(
    'nodejs_version_info',
    'Version of Node.js: always 1.',
    () => [{ labels: { version: process.version }, value: 1 }],
    ['version']
  )
}

/** 0 on systems without `/proc`. */
function openFiles (): number {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return 0
  }
}

function mostOpenFiles (): number {
  try {
    return Number(OPEN_FILES_LIMIT.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}
