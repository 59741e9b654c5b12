import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { repeat, type Clock } from '../clock.ts'
import { sendProblem } from './problem-reply.ts'

const RESOLUTION_MS = 10
const SAMPLE_MS = 1000
const RETRY_SECONDS = 5
const NANOS_PER_MS = 1e6

/**
 * Answers 503 while the event loop lags: its mean delay over the last second exceeds `maxDelayMs`, and a timer is late
 * now. The second condition matters because one long turn, such as a start on a slow machine, dominates the mean of its
 * second.
 */
export function shedLoad (app: FastifyInstance, maxDelayMs: number, clock: Clock): void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  let isLagging = false
  delay.enable()
  const stop = repeat(clock, sample, SAMPLE_MS)
  app.addHook('onClose', async () => {
    stop()
    delay.disable()
  })
  app.addHook('onRequest', (_request, reply, done) => {
    if (isLagging) shedIfLate(reply, done)
    else done()
  })

  function sample (): void {
    isLagging = delay.mean / NANOS_PER_MS - RESOLUTION_MS > maxDelayMs
    delay.reset()
  }

  function shedIfLate (reply: FastifyReply, done: () => void): void {
    const startedMs = clock.monotonicMs()
    clock.setTimer(() => {
      if (clock.monotonicMs() - startedMs < maxDelayMs / 2) done()
      else sendProblem(reply, 'overloaded', 'This service cannot keep up.', { retry_after: RETRY_SECONDS })
    }, 0)
  }
}
