import { isIPv4, isIPv6 } from 'node:net'
import type { Denied } from './caller.ts'

/** The host in the `Host` header of a request. */
export interface Host {
  /** In lower case, with brackets around an IPv6 address: as browsers write it in an origin. */
  readonly written: string
  /** The same without brackets and without one trailing dot. */
  readonly name: string
  /** As written; empty: no port. */
  readonly port: string
  readonly isAddress: boolean
}

export interface HostsOptions {
  /** The names of `ALLOWED_HOSTS`; `*` admits any name. */
  readonly allowed: readonly string[]
  /** The origins of `ALLOWED_ORIGINS`. Their hosts are admitted too. */
  readonly origins: readonly string[]
  /** Whether only this machine can reach the port. */
  readonly isLoopback: boolean
}

/** The origin of a page that this service itself would serve under the request's host. */
export interface OwnOrigin {
  readonly origin: string
  /** Whether its pages may stream and read. */
  readonly isTrusted: boolean
}

/** The host names of the service. A name that a stranger resolves to its address is none of them (DNS rebinding). */
export interface Hosts {
  admits (host: Host | undefined): boolean
  /** The origin of a page from the same scheme and host as the request. `scheme` has no colon. */
  ownOrigin (scheme: string, host: Host | undefined): OwnOrigin | undefined
}

const LONGEST_NAME = 253
const AUTHORITY = /^(?:\[([0-9a-f:.]+(?:%[0-9a-z.-]+)?)\]|([a-z0-9_.-]+))(?::(\d{0,5}))?$/
const LABELS = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/
// Browsers parse such a name as an IPv4 address in another notation.
const NUMBER_AT_END = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/
// No public DNS resolves these, so no stranger can point such a name at this service.
const NEAR = ['.svc', '.local', '.internal', '.home.arpa', '.lan']
const ANY = '*'
const DEFAULT_PORTS: Record<string, string> = { http: '80', https: '443' }

export function createHosts ({ allowed, isLoopback, origins }: HostsOptions): Hosts {
  const named = new Set(allowed.filter((each) => each !== ANY).map(nameOf))
  const isAnyAdmitted = allowed.includes(ANY)
  const known = new Set([...named, ...origins.map((each) => nameOf(new URL(each).hostname))])
  const listed = new Set(origins)

  return {
    admits (host) {
      if (host === undefined) return false
      return isAnyAdmitted || isHere(host) || known.has(host.name) || (!isLoopback && isNear(host))
    },
    ownOrigin (scheme, host) {
      if (host === undefined || !isWeb(scheme)) return undefined
      const { name, port, written } = host
      const origin = withoutDefaultPort(`${scheme}://${written}${port === '' ? '' : `:${port}`}`)
      return { origin, isTrusted: isHere(host) || named.has(name) || listed.has(origin) }
    }
  }
}

/**
 * Parses a `Host` header, or the authority of a request target. `undefined`: it is missing, or no host with an optional
 * port.
 */
export function readHost (field: string | undefined): Host | undefined {
  const [, inBrackets, plain = '', port = ''] = AUTHORITY.exec(field?.toLowerCase() ?? '') ?? []
  if (Number(port) > 65_535) return undefined
  if (inBrackets !== undefined) {
    return isIPv6(inBrackets) ? { written: `[${inBrackets}]`, name: inBrackets, port, isAddress: true } : undefined
  }
  const name = plain.endsWith('.') ? plain.slice(0, -1) : plain
  const isAddress = isIPv4(name)
  if (!isAddress && (name.length > LONGEST_NAME || !LABELS.test(name) || NUMBER_AT_END.test(name))) return undefined
  return { written: plain, name, port, isAddress }
}

/** The names in the text of a setting, separated by commas. */
export function hostsIn (text: string): string[] {
  return text.split(',').map((each) => each.trim()).filter((each) => each !== '')
}

/**
 * Whether an entry of `ALLOWED_HOSTS` is a host name. It has no port: a port says nothing about who resolves the name.
 */
export function isHostName (text: string): boolean {
  return text === ANY || isIPv6(text) || (readHost(text)?.port === '' && !text.endsWith(':'))
}

/** An origin as browsers write it, without the default port of its scheme. */
export function withoutDefaultPort (origin: string): string {
  const [, scheme = '', port] = /^(https?):\/\/.*:(\d+)$/.exec(origin) ?? []
  return port !== undefined && DEFAULT_PORTS[scheme] === port ? origin.slice(0, -port.length - 1) : origin
}

/** The denial of a request for a host that this service does not have. */
export function hostRefusal (host: Host | undefined): Denied {
  const detail = host === undefined
    ? '`Host` is not a valid host. Use the address of this service, or a name of `ALLOWED_HOSTS`.'
    : `This service does not serve the host ${host.name}. The setting ALLOWED_HOSTS=${host.name} admits it.`
  return { ok: false, code: 'forbidden', detail }
}

function isWeb (scheme: string): boolean {
  return scheme === 'http' || scheme === 'https'
}

function isHere ({ isAddress, name }: Host): boolean {
  return isAddress || name === 'localhost' || name.endsWith('.localhost')
}

function isNear ({ name }: Host): boolean {
  return !name.includes('.') || NEAR.some((end) => name.endsWith(end))
}

function nameOf (text: string): string {
  return isIPv6(text) ? text.toLowerCase() : readHost(text)?.name ?? text
}
