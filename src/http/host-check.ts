import type { FastifyReply, FastifyRequest } from 'fastify'
import { createHostReader, hostRefusal, type Host, type Hosts } from '../access/hosts.ts'
import { sendDenied } from './problem-reply.ts'

const SLASH = 47
const ABSOLUTE = /^https?:\/\/([^/?#]*)/i
// Orchestrators ask these by any name, and they tell nothing of anybody's data.
const readHost = createHostReader()
const PROBES = ['/livez', '/readyz']

/**
 * The host that a request asks: that of an absolute target before that of `Host` (RFC 9112 §3.2.2), as they were
 * received.
 */
export function hostOf ({ raw: { headers, url = '' } }: FastifyRequest): Host | undefined {
  const authority = url.charCodeAt(0) === SLASH ? undefined : ABSOLUTE.exec(url)?.[1]
  return readHost(authority ?? headers.host)
}

/**
 * Answers requests for a host that is not this service's; says whether it did. Probes are answered whatever they name.
 */
export function createHostCheck (hosts: Hosts): (request: FastifyRequest, reply: FastifyReply) => boolean {
  return (request, reply) => {
    const host = hostOf(request)
    if (hosts.admits(host) || PROBES.includes(request.routeOptions.url ?? '')) return false
    sendDenied(reply, hostRefusal(host))
    return true
  }
}
