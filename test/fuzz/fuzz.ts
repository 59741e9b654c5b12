import { parseArgs } from 'node:util'
import { request as openRequest } from 'node:http'
import WebSocket from 'ws'
import { dial, handshake, head } from '../hardening/raw.ts'
import { createChance } from '../oracle/chance.ts'
import { startProcess, type ServiceProcess } from '../oracle/process.ts'
import { createFindings, isTyped } from './checks.ts'
import { abuseConnections } from './connections.ts'
import { forgeFrames } from './forged-frames.ts'
import { bytes, damaged, encode, noise, query, word } from './material.ts'
import { startFuzzUpstream } from './upstream.ts'

// `npm run fuzz -- --seconds 60 --seed 7` runs the real process with malformed and hostile requests, connections,
// frames and upstream answers. It also runs the client module with a service that forges frames.
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) }
  }
})
const [seconds, seed] = [Number(values.seconds), Number(values.seed)]

const KEY = 'canary-key-7d1e55f0a2'
const TOKEN = 'canary-token-93c4b7d6'
const AUTHORIZATION = `Bearer ${TOKEN}`
const API = '/api/v1/audit'
const ITEMS = '/api/v1/auditing/items'
const PATHS = [
  `${API}/events`,
  `${API}/events/search`,
  ITEMS,
  `${API}/stream`,
  `${API}/stream/tickets`,
  '/readyz',
  '/openapi.json'
] as const
const FILTER = '{"timestamp":{"gte":"2025-06-03T00:00:00Z"},"email":"a","extra.tool_name":"b"}'
const CONNECTION_PATHS = [...PATHS, '/livez', '/docs/swagger-ui-bundle.js', `${API}/events?limit=500`] as const
const METHODS = ['GET', 'GET', 'GET', 'GET', 'HEAD', 'POST', 'OPTIONS', 'DELETE', 'PUT'] as const
const ANSWER_MS = 20_000
const SETTLE_MS = 500
const DESCRIPTORS_MS = 5000
const SPARE_DESCRIPTORS = 8
const MOST_CLIENT_CONNECTIONS = 12
const WARM = 0.25
const MOST_GROWTH = 1.5
const SLACK_BYTES = 96 * 1024 * 1024
const BYTES_PER_MB = 1024 * 1024

console.log(`fuzz: --seconds ${seconds} --seed ${seed}`)
const chance = createChance(seed)
const findings = createFindings()
const upstream = await startFuzzUpstream(KEY, chance)
const odd = await startFuzzUpstream(KEY, chance)
const cursors: string[] = ['1.W10']
const ids: string[] = ['kab1.1748942047218334000.kJ0mZ1m7w2cYH6cXGk1zZQ']
const counts: Record<string, number> = {}
let lines = 0
const settings = {
  PORT: '0',
  KUBIYA_API_KEY: KEY,
  KUBIYA_BASE_URL: upstream.url,
  KUBIYA_REQUESTS_PER_MINUTE: '0',
  KUBIYA_REQUESTS_PER_DAY: '0',
  AUTH_MODE: 'token',
  AUTH_TOKENS: TOKEN,
  LOG_LEVEL: 'debug',
  UPSTREAM_TIMEOUT_MS: '1000',
  DRAIN_MS: '200',
  ALLOWED_ORIGINS: 'https://app.example.com'
}
const heard = (line: string) => {
  lines++
  findings.expect(!line.includes(KEY) && !line.includes(TOKEN), 'a credential was logged', line)
}
// One that does not poll, so that each call to Kubiya is a caller's; and one that polls quickly.
const calm = await startProcess({ ...settings, POLL_INTERVAL_MS: '86400000', POLL_MAX_INTERVAL_MS: '86400000' }, heard)
const rough = await startProcess({
  ...settings,
  KUBIYA_BASE_URL: odd.url,
  POLL_INTERVAL_MS: '100',
  POLL_MAX_INTERVAL_MS: '200',
  CACHE_OPEN_TTL_MS: '50'
}, heard)
await pause()
const descriptorsBefore = { calm: await calm.descriptors(), rough: await rough.descriptors() }

const endMs = performance.now() + seconds * 1000
const warmMs = performance.now() + seconds * 1000 * WARM
let warmBytes: number | undefined
while (performance.now() < endMs && findings.list.length === 0) {
  odd.oddness = 0.5
  for (let n = 0; n < 40; n++) await fuzzRefusals()
  for (let n = 0; n < 20; n++) await fuzzBytes(calm.url)
  for (let n = 0; n < 10; n++) await fuzzFrames(calm.url)
  await Promise.all(Array.from({ length: 40 }, () => fuzzRequest(rough.url)))
  for (let n = 0; n < 10; n++) await fuzzFrames(rough.url)
  for (const { url } of [calm, rough]) {
    for (let n = 0; n < 5; n++) {
      await abuseConnections(chance, { url, authorization: AUTHORIZATION, paths: CONNECTION_PATHS })
    }
  }
  for (let n = 0; n < 3; n++) { await fuzzClient() }
  if (warmBytes === undefined && performance.now() > warmMs) {
    warmBytes = await calm.memoryBytes() + await rough.memoryBytes()
  }
}
odd.oddness = 0
await conclude()

interface Sent {
  readonly method: string
  readonly path: string
  readonly headers: Record<string, string>
}

/** Each request that is refused must not have reached Kubiya. One after the other, so that it is known which did. */
async function fuzzRefusals (): Promise<void> {
  const before = upstream.asked()
  const { sent, status } = await fuzzRequest(calm.url)
  if (status < 400 || status >= 500 || status === 404 || upstream.asked() === before) return
  // A stream that has not ended yet may have asked: not for each of several times.
  for (let times = 0; times < 3; times++) {
    const then = upstream.asked()
    await ask(calm.url, sent)
    if (upstream.asked() === then) return
  }
  findings.expect(false, `Kubiya was asked for a request that was refused with ${status}`, sent)
}

async function fuzzRequest (url: string): Promise<{ sent: Sent, status: number }> {
  const path = fuzzedPath()
  const cursor = chance.is(0.2)
    ? `&${chance.pick(['cursor', 'since'])}=${encode(damaged(chance, chance.pick(cursors as [string])))}`
    : ''
  const headers = fuzzedHeaders()
  const filter = chance.is(0.1) ? `&filter=${encode(damaged(chance, FILTER))}` : ''
  const sent: Sent = {
    method: chance.pick(METHODS),
    path: `${path}?${query(chance)}${cursor}${filter}`.replace(/[^\x21-\x7e]/g, '').slice(0, 7000),
    headers
  }
  const answer = await ask(url, sent)
  const { body, coding, status, type } = answer
  counts[status] = (counts[status] ?? 0) + 1
  expectSound(sent, answer)
  if (status === 200 && coding === '' && body !== '' && type.startsWith('application/json')) learn(body)
  return { sent, status }
}

function fuzzedPath (): string {
  if (!chance.is(0.3)) return chance.pick(PATHS)
  return `${chance.is(0.8) ? `${API}/events` : ITEMS}/${encode(chance.is(0.5) ? damaged(chance, chance.pick(ids as [string])) : word(chance))}`
}

function fuzzedHeaders (): Record<string, string> {
  return {
    ...chance.is(0.9)
      ? { authorization: chance.is(0.9) ? AUTHORIZATION : damaged(chance, AUTHORIZATION).replace(/[^\x21-\x7e ]/g, '') }
      : {},
    ...chance.is(0.2) && { 'if-none-match': damaged(chance, 'W/"abc"').replace(/[^\x20-\x7e]/g, '') },
    ...chance.is(0.1) && { origin: word(chance).replace(/[^\x21-\x7e]/g, '') },
    ...chance.is(0.1) &&
      { 'last-event-id': damaged(chance, chance.pick(cursors as [string])).replace(/[^\x21-\x7e]/g, '') },
    ...chance.is(0.1) && { accept: chance.pick(['text/event-stream', 'text/html', '*/*;q=0', ',,,']) },
    ...chance.is(0.1) && { 'accept-encoding': chance.pick(['br', 'gzip;q=0', '*', 'identity;q=0,*;q=0']) },
    ...chance.is(0.1) && { 'cache-control': 'no-cache' }
  }
}

function expectSound (sent: Sent, { body, status, type }: Awaited<ReturnType<typeof ask>>): void {
  findings.expect(status > 0, 'no answer', sent)
  findings.expect(
    status === 0 || status === 204 || sent.method === 'HEAD' || isTyped(status, type, body),
    `an answer of no kind, ${status} ${type} ${body.slice(0, 200)}`,
    sent
  )
  findings.expect(!body.includes(KEY) && !body.includes(TOKEN), 'a credential was shown', sent)
  const isGood = sent.headers.authorization === AUTHORIZATION
  if (isGood || !sent.path.startsWith(API)) return
  findings.expect(status >= 400 || sent.method === 'OPTIONS', 'a stranger was let in', sent)
}

/** Bytes that are hardly a request. */
async function fuzzBytes (url: string): Promise<void> {
  const right = head(`${PATHS[0]}?${query(chance)}`.replace(/[^\x21-\x7e]/g, ''), {
    authorization: AUTHORIZATION,
    ...chance.is(0.3) && handshake()
  })
  const sent = chance.is(0.5)
    ? Buffer.from(damaged(chance, right))
    : chance.is(0.5)
      ? bytes(chance, 2000)
      : Buffer.concat([Buffer.from(right), bytes(chance, 200)])
  await send(url, sent)
}

/** A stream, and what no client would send on it. */
async function fuzzFrames (url: string): Promise<void> {
  const socket = new WebSocket(
    `${url.replace('http', 'ws')}${API}/stream?${chance.is(0.7) ? '' : query(chance)}`.replace(/[^\x21-\x7e]/g, ''),
    chance.is(0.5) ? ['kubiya-audit.v1'] : [],
    { headers: { authorization: AUTHORIZATION }, perMessageDeflate: chance.is(0.5) }
  )
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => socket.terminate(), ANSWER_MS / 10)
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve()
    })
    socket.on('message', (data) => learnFrame(String(data)))
    socket.on('open', () => misbehave(socket))
  })
}

function learnFrame (text: string): void {
  const frame = JSON.parse(text) as { type?: unknown, cursor?: unknown }
  findings.expect(typeof frame.type === 'string', 'a frame without a type', text)
  findings.expect(!text.includes(KEY) && !text.includes(TOKEN), 'a credential was streamed', text)
  if (typeof frame.cursor === 'string' && cursors.length < 100) cursors.push(frame.cursor)
}

function misbehave (socket: WebSocket): void {
  switch (chance.integer(0, 5)) {
    case 0:
      return socket.send(noise(chance, 5000))
    case 1:
      return socket.send(bytes(chance, 100_000))
    case 2:
      for (let n = 0; n < 100; n++) socket.ping()
      return socket.close()
    case 3:
      for (let n = 0; n < 40; n++) socket.send('', { fin: false })
      return socket.close()
    case 4:
      ;(socket as unknown as { _socket: { write (data: Buffer): void } })._socket.write(bytes(chance, 300))
      return socket.close()
    default:
      socket.close(chance.pick([1000, 3000, 4999]), noise(chance, 10).replace(/[^\x20-\x7e]/g, ''))
  }
}

/** The client module, against a service that lies. */
async function fuzzClient (): Promise<void> {
  const { connections, faults } = await forgeFrames(chance)
  findings.expect(faults.length === 0, 'the client module threw', faults.map(String))
  findings.expect(connections <= MOST_CLIENT_CONNECTIONS, 'the client module hurried back', connections)
}

async function conclude (): Promise<void> {
  for (const [name, service] of Object.entries({ calm, rough })) {
    const alive = await ask(service.url, { method: 'GET', path: '/livez', headers: {} })
    findings.expect(alive.status === 200, `the ${name} one is not alive`, alive)
    const figures = async () => (await ask(service.url, { method: 'GET', path: '/metrics', headers: {} })).body
    const isIdle = (text: string) => text.includes('_subscribers{') && !/_subscribers\{.*\} [1-9]/.test(text)
    for (let tries = 0; tries < 20 && !isIdle(await figures()); tries++) await pause()
    findings.expect(isIdle(await figures()), 'streams are left over', /.*_subscribers\{.*/.exec(await figures())?.[0])
    const left = await settledDescriptors(service, descriptorsBefore[name as 'calm' | 'rough'] + SPARE_DESCRIPTORS)
    findings.expect(left === undefined, `the ${name} one holds descriptors of callers that have gone`, {
      left,
      before: descriptorsBefore
    })
    findings.expect(service.errors.length === 0, `the ${name} one has logged errors`, service.errors.slice(0, 3))
  }
  const now = await calm.memoryBytes() + await rough.memoryBytes()
  const before = warmBytes ?? now
  findings.expect(now <= before * MOST_GROWTH + SLACK_BYTES, 'it has grown', { before, now })
  console.log(
    `answers: ${JSON.stringify(counts)}; ${lines} lines logged; Kubiya was asked ${
      upstream.asked() + odd.asked()
    } times; ${Math.round(before / BYTES_PER_MB)} → ${Math.round(now / BYTES_PER_MB)} MB`
  )
  await Promise.all([calm.end('SIGTERM'), rough.end('SIGTERM')])
  await Promise.all([upstream.close(), odd.close()])
  for (const each of findings.list) console.log(each)
  console.log(`${findings.list.length === 0 ? 'held' : 'did not hold'}: --seconds ${seconds} --seed ${seed}`)
  process.exitCode = findings.list.length === 0 ? 0 : 1
}

function learn (body: string): void {
  const parsed: unknown = JSON.parse(body)
  const { items = [], pagination, live_cursor: live } = (Array.isArray(parsed) ? { items: parsed } : parsed) as {
    items?: Array<{ id: string }>,
    pagination?: { next?: string },
    live_cursor?: string
  }
  const next = /cursor=([^&]+)/.exec(pagination?.next ?? '')?.[1]
  for (const cursor of [next, live]) if (cursor !== undefined && cursors.length < 100) cursors.push(cursor)
  for (const { id } of items.slice(0, 2)) if (ids.length < 100) ids.push(id)
}

/** Status 0: there was no answer. A stream is left after its first bytes. */
function ask (
  url: string,
  { headers, method, path }: Sent
): Promise<{ status: number, type: string, coding: string, body: string }> {
  return new Promise((resolve) => {
    const asked = openRequest(`${url}${path}`, { method, headers, agent: false, timeout: ANSWER_MS }, (response) => {
      const { statusCode: status = 0 } = response
      const { 'content-encoding': coding = '', 'content-type': type = '' } = response.headers
      let body = ''
      const finish = () => resolve({ status, type, coding, body })
      response.setEncoding('latin1').on('data', (chunk: string) => {
        body += chunk
        if (type.startsWith('text/event-stream')) response.destroy()
      }).on('close', finish)
    })
    asked.on('timeout', () => asked.destroy())
    asked.on('error', () => resolve({ status: 0, type: '', coding: '', body: '' }))
    asked.end()
  })
}

/** Whatever comes back must not show a credential; the connection may end as it likes. */
async function send (url: string, sent: Buffer): Promise<void> {
  const socket = dial(url)
  let text = ''
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => socket.destroy(), SETTLE_MS / 10)
    socket.on('data', (chunk) => { text += chunk.toString('latin1') }).on('close', () => {
      clearTimeout(timer)
      resolve()
    })
    socket.end(sent)
  })
  findings.expect(!text.includes(KEY) && !text.includes(TOKEN), 'a credential was shown', sent.toString('latin1'))
}

/** How many descriptors are still open when they should have been closed; `undefined` once there are few enough. */
async function settledDescriptors (service: ServiceProcess, most: number): Promise<number | undefined> {
  for (const endMs = performance.now() + DESCRIPTORS_MS; performance.now() < endMs; await pause()) {
    if (await service.descriptors() <= most) return undefined
  }
  return service.descriptors()
}

function pause (): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, SETTLE_MS) })
}
