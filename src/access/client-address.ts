import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net'

const NETWORK_GROUPS = 4 // A /64: one customer has at least this network, and may use any address in it.
const GROUPS = 8
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i
const BRACKETED = /^\[([^\]]*)\](?::\d{1,5})?$/
const IPV4_WITH_PORT = /^(\d+\.\d+\.\d+\.\d+):\d{1,5}$/
const WHOLE_KEY = /^([0-9a-f]+):([0-9a-f]+):([0-9a-f]+):([0-9a-f]+)::\/64$/
const NARROW_BITS_MASK = 0xff00 // Of the fourth group: a /56.

/** The key of an address in limits: an IPv4 address, or an IPv6 network of 64 bits. */
export function addressKey (address: string): string {
  if (!address.includes(':')) return address
  const [, mapped] = MAPPED.exec(address) ?? []
  if (mapped !== undefined) return mapped
  return isIPv6(address) ? networkOf(address) : address
}

/**
 * The key of a request's client address, through proxies. `hops` are the peer, then the address that each trusted proxy
 * reported; the client comes last. An invalid address counts as the proxy that reported it. A closed connection has no
 * address.
 */
export function callerKey (ip = '', hops?: readonly string[]): string {
  if (hops === undefined) return addressKey(ip) // The connection's own address, which needs no check.
  for (let index = hops.length - 1; index >= 0; index--) {
    const address = withoutPort(hops[index] ?? '')
    if (isIP(address) !== 0) return addressKey(address)
  }
  return addressKey(ip)
}

/** Some proxies append the client's port, and put an IPv6 address in brackets. */
export function withoutPort (text: string): string {
  if (!text.includes(':')) return text
  const [, bracketed] = BRACKETED.exec(text) ?? []
  if (bracketed !== undefined) return isIPv6(bracketed) ? bracketed : text
  const [, ipv4] = IPV4_WITH_PORT.exec(text) ?? []
  return ipv4 ?? text
}

/** Converts `TRUST_PROXY` for Fastify: all, none, a number of proxies, or a list of addresses and networks. */
export function trustIn (text: string): boolean | ((address: string, hop: number) => boolean) {
  if (text === 'true' || text === 'false') return text === 'true'
  if (/^\d+$/.test(text)) return (_, hop) => hop < Number(text)
  const list = new BlockList()
  for (const each of text.split(',').map((part) => part.trim())) {
    const [address = '', bits] = each.split('/', 2)
    const family = isIPv4(address) ? 'ipv4' : 'ipv6'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return (reported) => {
    const address = withoutPort(reported)
    return isIP(address) !== 0 && list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
  }
}

/** Whether a connection's address is that of a trusted proxy. */
export function trustedPeerIn (text: string): (address: string | undefined) => boolean {
  const trust = trustIn(text)
  return typeof trust === 'boolean' ? () => trust : (address) => address !== undefined && trust(address, 0)
}

/** The networks of an address that one customer may own: a /56 and a /48, for IPv4 a /24 and a /16. */
export function networksOf (key: string): { readonly narrow: string, readonly wide: string } {
  const [, first, second, third, fourth = ''] = WHOLE_KEY.exec(key) ?? []
  if (first !== undefined) {
    const wide = `${first}:${second}:${third}::/48`
    return { narrow: `${wide.slice(0, -3)}${(Number.parseInt(fourth, 16) & NARROW_BITS_MASK).toString(16)}/56`, wide }
  }
  const [a, b, c] = key.split('.')
  return isIPv4(key) ? { narrow: `${a}.${b}.${c}.0/24`, wide: `${a}.${b}.0.0/16` } : { narrow: key, wide: key }
}

function networkOf (address: string): string {
  const groups = groupsOf(address)
  const [, , , , , sixth, seventh = 0, last = 0] = groups
  if (groups.slice(0, 5).every((group) => group === 0) && sixth === 0xffff) { // An IPv4-mapped address.
    return [seventh >> 8, seventh & 255, last >> 8, last & 255].join('.')
  }
  return `${groups.slice(0, NETWORK_GROUPS).map((group) => group.toString(16)).join(':')}::/64`
}

function groupsOf (address: string): number[] {
  const [front = '', back] = address.split('%', 1)[0]?.split('::') ?? []
  const [before, behind] = [front, back ?? ''].map((part) => part === '' ? [] : part.split(':').flatMap(numbersOf))
  const known = [...before ?? [], ...behind ?? []].length
  return [...before ?? [], ...Array<number>(Math.max(0, GROUPS - known)).fill(0), ...behind ?? []]
}

/** A group is one number. An IPv4 address at the end stands for two groups. */
function numbersOf (group: string): number[] {
  if (!group.includes('.')) return [Number.parseInt(group, 16)]
  const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
  return [a << 8 | b, c << 8 | d]
}
