import { freePort, listening, startProgram, type Child } from '../child.ts'
import { startProxyCache } from '../nginx.ts'
import { ratioRow, type Row } from '../row.ts'
import { startService } from '../service.ts'
import { alternate, type Contender } from '../slices.ts'
import { TARGETS } from '../targets.ts'

const CONNECTIONS = 32
const WANTED_BYTES = 41 * 1024
const LARGEST_PAGE = 1000
const WINDOW = 'start_time=-6h&end_time=-0s'

interface Outcome { readonly answered: number, readonly statuses: Record<string, number>, readonly bodyBytes: number }

/** An answer from the cache, with all that production hooks on, against a route that does nothing and against nginx. */
export async function cache (isQuick: boolean): Promise<Row[]> {
  const service = await startService()
  const callers = startProgram('measuring', 'callers')
  const path = await pathOfSize(service.port)
  const origin = `http://127.0.0.1:${service.port}`
  const first = await fetch(origin + path, { headers: { 'accept-encoding': 'identity' } })
  const bytes = (await first.arrayBuffer()).byteLength
  const [routePort, nginxPort] = [await freePort(), await freePort()]
  const route = startProgram('measured', 'peers/bare-route')
  await route.ask({ listen: routePort })
  await route.ask({ body: bytes })
  const nginx = startProxyCache(nginxPort, routePort)
  if (nginx !== undefined) await listening(nginxPort)

  const contenders: Contender[] = [
    asked('hit', service, service.port, path),
    asked('304', service, service.port, path, { 'if-none-match': first.headers.get('etag') ?? '' }, '304'),
    asked('gzip', service, service.port, path, { 'accept-encoding': 'gzip' }),
    asked('route', route, routePort, '/bytes'),
    ...nginx === undefined ? [] : [asked('nginx', nginx, nginxPort, '/bytes')]
  ]
  await alternate(contenders, 2)
  const { costs, steal } = await alternate(contenders, isQuick ? 3 : 9)
  await Promise.all([callers, service, route, nginx].map((child) => child?.stop()))
  // Throughput per CPU: the inverse of CPU per request.
  const perCpu = (name: string) => costs.has(name) ? 1 / (costs.get(name) ?? NaN) * 1000 : undefined
  const hit: [string, number] = ['hit', perCpu('hit') ?? NaN]
  const unit = 'requests per ms of CPU'
  return [
    ratioRow(
      `A hit of ${Math.round(bytes / 1024)} KB, of a bare Fastify route`,
      hit,
      ['route', perCpu('route')],
      unit,
      TARGETS.cache.bareRoute,
      steal
    ),
    ratioRow(
      `A hit of ${Math.round(bytes / 1024)} KB, of nginx proxy_cache`,
      hit,
      ['nginx', perCpu('nginx')],
      unit,
      TARGETS.cache.nginx,
      steal
    ),
    ratioRow(
      'A 304, of the 200',
      ['304', perCpu('304') ?? NaN],
      ['200', hit[1]],
      unit,
      TARGETS.cache.notModified,
      steal
    ),
    { figure: 'The same hit as gzip', measured: `${(perCpu('gzip') ?? NaN).toFixed(1)} ${unit}`, steal }
  ]

  function asked (
    name: string,
    server: Child,
    port: number,
    path: string,
    headers: Record<string, string> = {},
    status = '200'
  ): Contender {
    return {
      name,
      async slice () {
        const before = server.cpuMicros()
        const outcome = await callers.ask<Outcome>({
          load: { port, path, headers, connections: CONNECTIONS, forMs: 1200 }
        })
        if (Object.keys(outcome.statuses).join() !== status) {
          throw new Error(`${name} was answered with ${JSON.stringify(outcome.statuses)}`)
        }
        return { micros: server.cpuMicros() - before, units: outcome.answered }
      }
    }
  }
}

/** A list whose answer is about as large as wanted. */
async function pathOfSize (port: number): Promise<string> {
  let path = ''
  for (let [size, tries] = [40, 0]; tries < 3; tries++) {
    path = `/api/v1/audit/events?${WINDOW}&page_size=${size}`
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { 'accept-encoding': 'identity' } })
    if (response.status !== 200) {
      throw new Error(`${path} was answered with ${response.status}: ${await response.text()}`)
    }
    const bytes = (await response.arrayBuffer()).byteLength
    size = Math.min(LARGEST_PAGE, Math.round(size * WANTED_BYTES / bytes))
  }
  return path
}
