import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type Server } from 'node:net'
import { basename } from 'node:path'
import t from 'tap'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { evenDates, item, startService } from '../support/support.ts'

interface Run {
  /** Resolves with the whole output once it contains the text. */
  printed (text: string): Promise<string>
  /** Resolves with the exit code and all that was printed when the example ends by itself. */
  ended: Promise<{ code: number | null, output: string, errors: string }>
}

function example (owner: { teardown (action: () => unknown): void }, name: string, ...parameters: string[]): Run {
  const child = spawn(process.execPath, [`examples/${name}.mjs`, ...parameters], {
    stdio: ['ignore', 'pipe', 'pipe']
  })
  owner.teardown(() => child.kill('SIGKILL'))
  let output = ''
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => { errors += text })
  child.stdout.setEncoding('utf8').on('data', (text: string) => { output += text })
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, output, errors }))
  return {
    ended,
    async printed (text) {
      while (!output.includes(text)) await once(child.stdout, 'data')
      return output
    }
  }
}

t.test('every example ends without an error when its output is closed', async (t) => {
  const { url, sandbox } = await startService(t)
  sandbox.publish(item({ category_type: 'users', action_type: 'authentication', action_successful: false }))
  const names = (await readdir('examples')).map((file) => basename(file, '.mjs'))
  t.ok(names.length >= 6)
  await Promise.all(names.map(async (name) => {
    const child = spawn(process.execPath, [`examples/${name}.mjs`, url], { stdio: ['ignore', 'pipe', 'pipe'] })
    t.teardown(() => child.kill('SIGKILL'))
    child.stdout.destroy()
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => { errors += text })
    const [code] = await once(child, 'close')
    t.same({ code: code as unknown, errors }, { code: 0, errors: '' }, name)
  }))
})

t.test('the complete export writes every event of the window once, in order, although each part is limited', async (t) => {
  const { url, sandbox } = await startService(t, { EXPORT_LIMIT: '1000' })
  const dateOf = evenDates(3_600_000, 1000)
  sandbox.publish(Array.from({ length: 2203 }, (_, n) => item({ n, timestamp: dateOf(n) })))
  const { code, errors, output } = await example(t, 'complete-export', url, '-6h').ended
  t.equal(code, 0)
  t.same(output.split('\n').slice(0, -1).map((line) => JSON.parse(line).n), [...Array(2203).keys()])
  t.match(errors, /^2203 events in 3 parts, complete$/m)
})

t.test('the complete export fails for a part that is damaged, cut off, or not complete', async (t) => {
  const end = { complete: true, events: 1, next: null, sha256: '0'.repeat(64) }
  const sha256 = createHash('sha256').update('{"id":"a"}\n').digest('hex')
  const faults: Record<string, [answer: string, error: RegExp]> = {
    damaged: [`{"id":"a"}\n${JSON.stringify({ export: end })}\n`, /damaged/],
    'cut off': ['{"id":"a"}\n{"id":"b"}\n', /cut off/],
    'not complete': [`{"id":"a"}\n${JSON.stringify({ export: { ...end, complete: false, sha256 } })}\n`, /1 parts, not complete/]
  }
  for (const [name, [answer, error]] of Object.entries(faults)) {
    const server = createHttpServer((_request, response) => response.end(answer)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const { code, errors, output } = await example(t, 'complete-export', `http://127.0.0.1:${portOf(server)}`).ended
    t.equal(code, 1, name)
    t.match(errors, error)
    t.equal(output, '{"id":"a"}\n', 'what came before is written')
  }
})

t.test('the agent success rate does not count unknown outcomes', async (t) => {
  const { url, sandbox } = await startService(t)
  const outcomes = [true, true, true, false, null]
  sandbox.publish(outcomes.map((successful) => item({ category_name: 'my-agent', action_successful: successful })))
  sandbox.publish(item({ category_type: 'users', category_name: 'no-agent' }))
  const { code, output } = await example(t, 'agent-success-rate', url).ended
  t.equal(code, 0)
  t.match(output, /'my-agent' *│ 3 *│ 1 *│ 1 *│ '75\.0 %'/)
  t.notMatch(output, /no-agent/)
})

t.test('the failed authentication monitor warns at the third failure of one user', async (t) => {
  const { url, sandbox } = await startService(t)
  const failure = (email: string) =>
    item({ category_type: 'users', action_type: 'authentication', action_successful: false, email })
  sandbox.publish(failure('a@acme.test'), failure('b@acme.test'), failure('a@acme.test'))
  const run = example(t, 'failed-authentication-monitor', url)
  const before = await run.printed('b@acme.test failed to authenticate')
  t.notMatch(before, /ALERT/)
  sandbox.publish(
    item({ category_type: 'users', action_type: 'authentication', email: 'a@acme.test' }),
    failure('a@acme.test')
  )
  t.match(await run.printed('ALERT'), /ALERT a@acme\.test: 3 failures within 10 minutes/)
})

t.test('the filtered stream prints matching events and ends after its minutes', async (t) => {
  const { url, sandbox } = await startService(t)
  sandbox.publish(item({ resource_text: 'matching' }), item({ category_type: 'ai', resource_text: 'filtered out' }))
  const { code, output } = await example(t, 'filtered-stream', url, 'category_type=agents', '0.02').ended
  t.equal(code, 0)
  t.match(output, /^-- hello .*agents sent "matching".*^-- end \{"reason":"timeout"/ms)
  t.notMatch(output, /filtered out/)
})

t.test('the filtered stream fails for an unknown filter and without a service', async (t) => {
  const { url, close } = await startService(t)
  t.equal((await example(t, 'filtered-stream', url, 'no_such_filter=1').ended).code, 1)
  await close()
  t.equal((await example(t, 'filtered-stream', url).ended).code, 1)
})

t.test('the reconnecting subscriber prints each event once, across a restart of the service', async (t) => {
  const port = await freePort()
  const sandbox = await startSandbox()
  t.teardown(sandbox.close)
  const { close } = await startService(t, { PORT: String(port) }, {}, sandbox)
  const run = example(t, 'reconnecting-subscriber', `http://127.0.0.1:${port}`)
  await run.printed('connected')
  sandbox.publish(item({ id: 'before' }))
  await run.printed(' before\n')
  await close()
  sandbox.publish(item({ id: 'between' }))
  await startService(t, { PORT: String(port) }, {}, sandbox)
  await run.printed('connected again, resumed: false')
  sandbox.publish(item({ id: 'after' }))
  const lines = (await run.printed(' after\n')).split('\n').filter((line) => / (before|between|after)$/.test(line))
  t.same(lines.map((line) => line.split(' ')[1]), ['before', 'between', 'after'])
})

/** A free port: both services of the test listen on it, one after the other. */
async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  server.close()
  await once(server, 'close')
  return port
}

function portOf (server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
