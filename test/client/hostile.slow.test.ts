import t from 'tap'
import { openAuditStream } from '../../src/client/client.ts'
import { eventually } from '../support/support.ts'
import { hello, say, startFake } from './fake.ts'

t.test('a slow consumer holds at most 16 Mi characters, and receives everything', async (t) => {
  const TEXT = 'x'.repeat(1024 * 1024)
  const COUNT = 40
  const large = (n: number) => ({ type: 'event', cursor: String(n), event: { id: `n${n}`, text: TEXT } })
  const hungUp: number[] = []
  const fake = await startFake(t, ...Array.from({ length: 4 }, (_, index) => (socket: Parameters<typeof say>[0]) => {
    const since = Number(fake.asked[index]?.get('since') ?? 0)
    socket.on('close', () => hungUp.push(index))
    say(socket, hello(String(since)))
    for (let n = since + 1; n <= COUNT; n++) say(socket, large(n))
  }))
  const consumer = openAuditStream({ url: fake.url, WebSocket: (await import('ws')).default })
  t.teardown(() => consumer.return())
  const ids = [(await consumer.next()).value?.id]
  await eventually('it has hung up', () => hungUp.length === 1)
  while (ids.length < COUNT) ids.push((await consumer.next()).value?.id)
  t.same(ids, Array.from({ length: COUNT }, (_, index) => `n${index + 1}`))
  t.equal(fake.asked[1]?.get('since'), '17', 'one was taken, sixteen waited')
})
