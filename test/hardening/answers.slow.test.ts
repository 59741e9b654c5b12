import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { ago, eventually, item, startService, type Service } from '../support/support.ts'
import { dial, head } from './raw.ts'

const EVENTS = '/api/v1/audit/events'
const KB = 1024
const LONG_AGO_MS = 3_600_000 // The poller does not read as far back.
const MB = 1024 * KB

/** Asks for a list and reads nothing of it. */
async function leaveUnread (t: Test, service: Service, path: string, coding: string) {
  const socket = dial(service.url)
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  socket.pause()
  socket.write(head(path, { connection: 'keep-alive', 'accept-encoding': coding }))
  return socket
}

for (const coding of ['identity', 'gzip']) {
  t.test(`answers that nobody reads (${coding}) cause 503 until the reader has gone`, async (t) => {
    const service = await startService(t, { CACHE_MAX_BYTES: '1048576' }, {}, undefined, undefined, {
      answers: { maxBytes: 20 * MB, maxWaitMs: 20 }
    })
    await service.settled()
    const warm = `${EVENTS}?page_size=1&start_time=-5h&end_time=-4h`
    t.equal((await service.get(warm)).status, 200)
    service.sandbox.publish(
      Array.from({ length: 500 }, () => item({ resource_text: noise(30 * KB), timestamp: ago(LONG_AGO_MS) }))
    )
    const readers = await Promise.all([1, 2].map((n) => leaveUnread(t, service, `${EVENTS}?limit=${400 + n}`, coding)))
    let asked = 0
    const cold = () => service.get(`${EVENTS}?category_name=nobody-${asked++}`)
    let refused: Response | undefined
    await eventually('there is no room', async () => {
      const answer = await cold()
      if (answer.status === 503) refused = answer
      return answer.status === 503
    })
    t.match(await refused?.json(), { code: 'overloaded' })
    t.ok(Number(refused?.headers.get('retry-after')) >= 1)
    t.equal((await service.get('/livez')).status, 200)
    t.match((await service.get(warm)).headers.get('cache-status'), /; hit;/)
    for (const reader of readers) reader.destroy()
    await eventually('there is room again', async () => (await cold()).status === 200)
  })
}

/** Text that does not compress. */
function noise (bytes: number): string {
  return randomBytes(bytes * 3 / 4).toString('base64')
}
