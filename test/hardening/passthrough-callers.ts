import type { Test } from 'tap'
import { evenDates, item, openStream, startService, type Service, type Stream } from '../support/support.ts'
import { startCrowd, type Crowd } from './crowd.ts'

export const EVENTS = '/api/v1/audit/events'
export const STREAM = '/api/v1/audit/stream'

export const [ALICE, BOB, STRANGER] = [
  'UserKey alice-key-0123456789',
  'Bearer bob-key-0123456789',
  'UserKey stranger-key-0123456789'
]

/** The service in front of accounts, each of which sees its own events. */
export async function startPassthrough (
  t: Test,
  settings: Record<string, string> = {}
): Promise<{ service: Service, crowd: Crowd }> {
  const crowd = await startCrowd(t, [ALICE, BOB])
  const dateOf = evenDates(5000, 1)
  crowd.account(ALICE).publish(Array.from({ length: 3 }, (_, n) => item({ owner: 'alice', n, timestamp: dateOf(n) })))
  crowd.account(BOB).publish(Array.from({ length: 3 }, (_, n) => item({ owner: 'bob', n, timestamp: dateOf(n) })))
  const service = await startService(t, { AUTH_MODE: 'passthrough', KUBIYA_BASE_URL: crowd.url, ...settings })
  return { service, crowd }
}

export function listen (t: Test, service: Service, authorization: string, query = ''): Stream {
  const stream = openStream(`${service.url.replace('http', 'ws')}${STREAM}${query}`, [], { authorization })
  t.teardown(() => stream.socket.terminate())
  return stream
}
