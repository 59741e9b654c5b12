import type { IncomingMessage, ServerResponse } from 'node:http'

const HOST = 'host'
const ABSOLUTE = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i

/** The fault in a request's target or `Host`, or `undefined`. Node would use the first of several `Host` headers. */
export function hostFault ({ headers, httpVersionMinor, rawHeaders, url = '' }: IncomingMessage): string | undefined {
  if (headers.host === undefined) return httpVersionMinor === 1 ? 'Missing `Host` header.' : undefined
  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]
    if (name?.length === HOST.length && name.toLowerCase() === HOST) hosts++
  }
  if (hosts > 1) return 'More than one `Host` header.'
  if (url.startsWith('/')) return undefined
  const [, authority] = ABSOLUTE.exec(url) ?? []
  const isOther = authority !== undefined && authority.toLowerCase() !== headers.host.trim().toLowerCase()
  return isOther ? 'The request target and `Host` name different authorities.' : undefined
}

/**
 * An HTTP/1.0 intermediary may not know chunked bodies, so the end of such a body is unsure. The connection closes
 * after the answer (RFC 9112 §6.1).
 */
export function endIfFramingIsUnsure ({ headers, httpVersionMinor }: IncomingMessage, response: ServerResponse): void {
  if (httpVersionMinor === 0 && headers['transfer-encoding'] !== undefined) response.shouldKeepAlive = false
}
