import type { FastifyReply, FastifyRequest } from 'fastify'
import { createHostReader, hostRefusal, type Host, type Hosts } from '../access/hosts.ts'
import { sendDenied } from './problem-reply.ts'

const SLASH = 47
const ABSOLUTE = /^https?:\/\/([^/?#]*)/i
// Orchestrators request the probes under any name, and probes reveal no data.
const readHost = createHostReader()
const PROBES = ['/livez', '/readyz']

/**
 * The requested host: an absolute request target takes precedence over `Host` (RFC 9112 §3.2.2). Proxy headers do not
 * matter here.
 */
export function hostOf ({ raw: { headers, url = '' } }: FastifyRequest): Host | undefined {
  const authority = url.charCodeAt(0) === SLASH ? undefined : ABSOLUTE.exec(url)?.[1]
  return readHost(authority ?? headers.host)
}

/**
 * Returns a check that denies requests for a foreign host. It returns whether it has answered. Probes always pass.
 */
export function createHostCheck (hosts: Hosts): (request: FastifyRequest, reply: FastifyReply) => boolean {
  return (request, reply) => {
    const host = hostOf(request)
    if (hosts.admits(host) || PROBES.includes(request.routeOptions.url ?? '')) return false
    sendDenied(reply, hostRefusal(host))
    return true
  }
}
