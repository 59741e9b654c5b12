import { startService, startUpstream, type Service } from './support.ts'

/** No poll falls due while a test runs, so that each call to Kubiya is one that a query caused. */
export const QUIET = { POLL_INTERVAL_MS: '60000', POLL_MAX_INTERVAL_MS: '60000', CACHE_OPEN_TTL_MS: '60000' }

/** A service that polls seldom and whose log holds these items. */
export async function startFilledService (
  t: Parameters<typeof startService>[0],
  items: object[],
  settings: Record<string, string> = {}
): Promise<Service> {
  const sandbox = await startUpstream(t)
  sandbox.publish(items)
  const service = await startService(t, { ...QUIET, ...settings }, {}, sandbox)
  await service.settled()
  return service
}
