import type { AddressInfo } from 'node:net'
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import { createAllowance } from './rate-limit.ts'
import { createAuditing, type Auditing } from './api.ts'
import { createFaults, type Faults } from './faults.ts'
import { createHistory } from './history/history.ts'
import { createRequestLog, type ReceivedRequest } from './request-log.ts'
import { quirksOf, type Quirks } from './quirks.ts'
import { createServing } from './serving.ts'
import { createStore } from './history/store.ts'

export type { Fault, Faults } from './faults.ts'
export type { ReceivedRequest } from './request-log.ts'
export type { Quirks } from './quirks.ts'

export interface SandboxOptions extends Partial<Quirks> {
  apiKey?: string
  seed?: number
  /** `day`: a generated past of 24 full hours that continues into the future. `none`: only published items. */
  history?: 'none' | 'day'
  /** Milliseconds since 1970. */
  now?: () => number
  /** The path prefix of a gateway before the API's path. */
  prefix?: string
}

/** A stand-in for the Kubiya audit API, on a loopback port. */
export interface Sandbox {
  /** Origin and prefix, without `/api/v1`. */
  readonly url: string
  readonly apiKey: string
  /** May be changed at any time. */
  readonly quirks: Quirks
  readonly faults: Faults
  /** Makes items visible at once, whatever their timestamps. Accepts items and arrays of items. */
  publish: (...items: Array<object | readonly object[]>) => void
  /** Makes one item visible. Answers contain exactly its text. */
  publishRaw: (text: string) => void
  /** Removes published items (not those of the generated past). Returns their number. */
  remove: (predicate: (item: unknown) => boolean) => number
  /** The last 10 000 requests, oldest first. */
  readonly requests: readonly ReceivedRequest[]
  /** All requests since the start or the last reset. */
  readonly asked: number
  inFlight: () => number
  mostInFlight: () => number
  /** Clears the requests, their count and the most in flight. */
  resetRequests: () => void
  /** Also closes open connections. */
  close: () => Promise<void>
}

const SANDBOX_KEY = 'sandbox-key-that-opens-nothing-else'

/** Starts a sandbox on a free port of 127.0.0.1. */
export async function startSandbox (options: SandboxOptions = {}): Promise<Sandbox> {
  const { apiKey = SANDBOX_KEY, seed = 1, history = 'none', now = Date.now } = options
  const prefix = (options.prefix ?? '').replace(/\/+$/, '')
  const quirks = quirksOf(options)
  const upstreamNow = (): number => now() + quirks.clockSkewMs
  const store = createStore(history === 'day' ? createHistory(seed, upstreamNow) : undefined)
  const requestLog = createRequestLog(now)
  const faults = createFaults()
  const auditing = createAuditing(store, quirks, apiKey, createAllowance(quirks, upstreamNow))
  const serve = createServing(requestLog, faults, upstreamNow)
  const app = routed(prefix, auditing, serve)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo

  return {
    url: `http://127.0.0.1:${port}${prefix}`,
    apiKey,
    quirks,
    faults: { next: faults.next, during: faults.during, clear: faults.clear },
    publish: (...items) => store.publish(items.flat()),
    publishRaw: store.publishRaw,
    remove: store.remove,
    requests: requestLog.requests,
    get asked () { return requestLog.asked() },
    inFlight: requestLog.inFlight,
    mostInFlight: requestLog.mostInFlight,
    resetRequests: requestLog.reset,
    close: () => app.close()
  }
}

type Serve = ReturnType<typeof createServing>

function routed (prefix: string, auditing: Auditing, serve: Serve): ReturnType<typeof fastify> {
  const app = fastify({
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 2000 },
    // There are no schemas, and Fastify's schema compilers take long to load.
    schemaController: {
      compilersFactory: {
        buildSerializer: () => () => JSON.stringify,
        buildValidator: () => () => {
          throw new Error('no schemas here')
        }
      }
    },
    // Requests whose path cannot be decoded are logged, too.
    frameworkErrors: (_error, request, reply) => serve(request, reply, auditing.nothing)
  })
  const items = `${prefix}/api/v1/auditing/items`
  app.get(items, (request, reply) => serve(request, reply, auditing.list))
  app.get(`${items}/:id`, (request: FastifyRequest<{ Params: { id: string } }>, reply: FastifyReply) =>
    serve(request, reply, (asked, change) => auditing.item(asked, request.params.id, change)))
  app.setNotFoundHandler((request, reply) => serve(request, reply, auditing.nothing))
  return app
}
