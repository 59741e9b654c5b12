import type { FastifyReply, FastifyRequest } from 'fastify'
import { sendFaults } from '../problems.ts'

const NUMBERS = ['page', 'page_size', 'limit', 'timeout_minutes']
const PLAIN = /^-?\d{1,15}(\.\d{1,15})?$/

/**
 * Numbers are written plainly: what JavaScript would read as one besides (`0x10`, `1e2`, a blank) is most likely a
 * mistake.
 */
export function checkNumbers (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  const query = request.query as Record<string, unknown>
  const odd = NUMBERS.filter((name) => typeof query[name] === 'string' && !PLAIN.test(query[name]))
  if (odd.length === 0) done()
  else {
    sendFaults(
      reply,
      'invalid-parameter',
      odd.map((parameter) => ({ parameter, message: 'must be a number in decimal digits' }))
    )
  }
}
