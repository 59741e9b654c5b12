import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { basename } from 'node:path'
import t from 'tap'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { ago, item, startService } from '../support/support.ts'

interface Run {
  /** Resolves with the whole output once it contains the text. */
  printed (text: string): Promise<string>
  /** Resolves with the exit code and the whole output when the example ends by itself. */
  ended: Promise<{ code: number | null, output: string }>
}

function example (owner: { teardown (action: () => unknown): void }, name: string, ...parameters: string[]): Run {
  const child = spawn(process.execPath, [`examples/${name}.mjs`, ...parameters], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  owner.teardown(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { output += text })
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, output }))
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

t.test('the page loop reads every event of the window, for any page size', async (t) => {
  const { url, sandbox } = await startService(t, {}, { pageCap: 100 })
  sandbox.publish(Array.from({ length: 1203 }, (_, index) => item({ timestamp: ago(index * 1000) })))
  const { code, output } = await example(t, 'page-loop', url, '-6h').ended
  t.equal(code, 0)
  t.match(output, /^1203 events on 3 pages$/m)
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
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
