import type { IncomingMessage, ServerResponse } from 'node:http'

const HOST = 'host'
const ABSOLUTE = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i

/** What is wrong with how a request says where it goes, or `undefined`. Node takes the first `Host` of several. */
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
  return isOther ? 'The request target names another authority than `Host`.' : undefined
}

/**
 * A chunked body of HTTP/1.0 may have been framed by someone who knows no chunks: nothing behind it is read (RFC 9112
 * §6.1).
 */
export function endIfFramingIsUnsure ({ headers, httpVersionMinor }: IncomingMessage, response: ServerResponse): void {
  if (httpVersionMinor === 0 && headers['transfer-encoding'] !== undefined) response.shouldKeepAlive = false
}
