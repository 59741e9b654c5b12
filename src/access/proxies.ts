import { BlockList, isIP } from 'node:net'

/** Whether an address is that of a proxy whose word about a request counts, as `TRUST_PROXY` says. */
export function createProxyTrust (setting: string): (address: string | undefined) => boolean {
  if (setting === 'true' || setting === 'false') return () => setting === 'true'
  if (/^\d+$/.test(setting)) return () => Number(setting) > 0 // So many proxies: whoever connects is the last of them.
  const proxies = new BlockList()
  for (const each of setting.split(',')) {
    const [address = '', bits] = each.trim().split('/')
    const family = familyOf(address)
    if (family === undefined) continue
    if (bits === undefined) proxies.addAddress(address, family)
    else proxies.addSubnet(address, Number(bits), family)
  }
  return (address = '') => {
    const family = familyOf(address)
    return family !== undefined && proxies.check(address, family)
  }
}

function familyOf (address: string): 'ipv4' | 'ipv6' | undefined {
  const version = isIP(address)
  return version === 0 ? undefined : version === 4 ? 'ipv4' : 'ipv6'
}
