import { isIPv6 } from 'node:net'

const NETWORK_GROUPS = 4 // A /64: what one customer is given at least, and can choose addresses from at will.
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

/** Names where a request comes from, for limits: an IPv4 address, or an IPv6 network of 64 bits. */
export function addressKey (address: string): string {
  const [, mapped] = MAPPED.exec(address) ?? []
  if (mapped !== undefined) return mapped
  return isIPv6(address) ? networkOf(address) : address
}

function networkOf (address: string): string {
  const [front = '', back] = address.split('%', 1)[0]?.split('::') ?? []
  const groups = front === '' ? [] : front.split(':')
  const behind = back === undefined || back === '' ? [] : back.split(':')
  const width = behind.some((group) => group.includes('.')) ? 7 : 8 // An IPv4 address at the end takes the place of two.
  const filled = back === undefined ? groups : [...groups, ...Array<string>(Math.max(0, width - groups.length - behind.length)).fill('0'), ...behind]
  return `${filled.slice(0, NETWORK_GROUPS).map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`
}
