import { freePort, listening, startChild, startProgram, type Child } from './child.ts'

export interface Service extends Child {
  readonly port: number
  readonly upstream: Child
}

export const STREAM = '/api/v1/audit/stream?start_time=now'

/** The service as it runs in production, in front of a stand-in for Kubiya; every setting not named has its default. */
export async function startService (
  environment: Record<string, string> = {},
  nodeFlags: readonly string[] = []
): Promise<Service> {
  const [port, upstreamPort] = [await freePort(), await freePort()]
  const upstream = startProgram('measuring', 'upstream')
  await upstream.ask({ listen: upstreamPort })
  await upstream.ask({ make: 200 })
  const child = startChild('measured', [process.execPath, ...nodeFlags, '--enable-source-maps', 'dist/main.js'], {
    ...productionAt(upstreamPort),
    PORT: String(port),
    ...environment
  })
  await listening(port)
  await ready(port)
  return {
    ...child,
    port,
    upstream,
    async stop () {
      await child.stop()
      await upstream.stop()
    }
  }
}

/** The settings that production needs, and no request budget: what is asked is counted instead. */
export function productionAt (upstreamPort: number): Record<string, string> {
  return {
    NODE_ENV: 'production',
    KUBIYA_API_KEY: 'bench',
    KUBIYA_BASE_URL: `http://127.0.0.1:${upstreamPort}`,
    KUBIYA_REQUESTS_PER_MINUTE: '0',
    KUBIYA_REQUESTS_PER_DAY: '0'
  }
}

async function ready (port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const { status } = await fetch(`http://127.0.0.1:${port}/readyz`)
    if (status === 200) return
    await new Promise((resolve) => { setTimeout(resolve, 50) })
  }
  throw new Error('the service does not get ready')
}
