import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { sendProblem } from '../problems.ts'

const RESOLUTION_MS = 10
const SAMPLE_MS = 1000
const RETRY_SECONDS = 5
const NANOS_PER_MS = 1e6

/**
 * Answers requests with 503 while the event loop lags: its mean delay over the last second is more than `maxDelayMs`,
 * and it still is. One long turn, as a start has them on a slow machine, is the mean of its second.
 */
export function shedLoad (app: FastifyInstance, maxDelayMs: number): void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  let isLagging = false
  delay.enable()
  const timer = setInterval(() => {
    isLagging = delay.mean / NANOS_PER_MS - RESOLUTION_MS > maxDelayMs
    delay.reset()
  }, SAMPLE_MS).unref()
  app.addHook('onClose', async () => {
    clearInterval(timer)
    delay.disable()
  })
  app.addHook('onRequest', (_request, reply, done) => {
    if (isLagging) shed(reply, maxDelayMs, done)
    else done()
  })
}

function shed (reply: FastifyReply, maxDelayMs: number, done: () => void): void {
  const startedMs = performance.now()
  setTimeout(() => {
    if (performance.now() - startedMs < maxDelayMs / 2) done()
    else sendProblem(reply, 'overloaded', 'This service cannot keep up.', { retry_after: RETRY_SECONDS })
  })
}
