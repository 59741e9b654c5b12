import type { Test } from 'tap'
import type { SandboxOptions } from '../../src/sandbox/sandbox.ts'
import { eventually, startService, type Service, type Stream } from './support.ts'

export interface FollowedService {
  readonly service: Service
  readonly stream: Stream
  /** Waits for these numbered events and asserts that the stream gave each once, in this order, without a gap. */
  readonly has: (numbers: number[]) => Promise<void>
}

/** A service with one live stream, whose poller has read the log once. */
export async function startFollowed (
  t: Test,
  settings: Record<string, string> = {},
  options: SandboxOptions = {}
): Promise<FollowedService> {
  const service = await startService(t, settings, options)
  const stream = service.stream('?start_time=-10m')
  await stream.until(({ type }) => type === 'hello')
  await eventually('the first poll has ended', async () => (await service.get('/readyz')).status === 200)
  return {
    service,
    stream,
    async has (numbers) {
      await stream.untilEvents(numbers.length)
      await nextPolls(service)
      t.same(stream.events().map(({ n }) => n), numbers)
      t.equal(new Set(stream.events().map(({ id }) => id)).size, numbers.length, 'each with an id of its own')
      t.same(stream.frames.filter(({ type }) => type === 'gap'), [])
      t.notOk(JSON.stringify(service.logs).includes(service.sandbox.apiKey))
    }
  }
}

/** Waits for two more polls: an event that is given twice comes again by then. */
export async function nextPolls ({ sandbox }: Service): Promise<void> {
  const asked = sandbox.asked
  await eventually('more polls', () => sandbox.asked >= asked + 2)
}
