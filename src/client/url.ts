import type { AuditStreamOptions } from './types.ts'

const STREAM = '/api/v1/audit/stream'

/** The HTTP address of the stream. A cursor replaces the start time. */
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

/** The same address with the scheme `ws` or `wss`. Older WebSocket constructors accept no other scheme. */
export function socketAddress (address: URL): string {
  return address.href.replace('http', 'ws')
}
