import type { AuditStreamOptions } from './types.ts'

const STREAM = '/api/v1/audit/stream'

/** The stream's address over HTTP. A cursor takes the place of the start that was asked for. */
export function streamAddress (
  { filter, startTime, url, verbose }: AuditStreamOptions,
  since: string | undefined
): URL {
  const { location } = globalThis as { location?: { readonly href: string } } // Only a page has one.
  const address = new URL(url, location?.href)
  address.protocol = address.protocol.replace('ws', 'http')
  address.pathname = address.pathname.replace(/\/*$/, STREAM)
  address.hash = ''
  const start = since === undefined ? { start_time: startTime } : { since }
  address.search = ''
  for (const [name, value] of Object.entries({ ...filter, ...start, verbose })) {
    if (value !== undefined) address.searchParams.set(name, String(value))
  }
  return address
}

/** The same for a WebSocket, whose constructor knew no other schemes for long. */
export function socketAddress (address: URL): string {
  return address.href.replace('http', 'ws')
}
