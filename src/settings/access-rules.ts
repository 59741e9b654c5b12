import { readFileSync } from 'node:fs'
import { trustIn } from '../access/client-address.ts'
import { hostsIn, isHostName } from '../access/hosts.ts'
import { isOrigin, originsIn } from '../access/origins.ts'
import { SHORTEST_TOKEN, isSoundToken, tokensIn } from '../access/token-auth.ts'
import type { Settings } from '../settings.ts'

const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|::1)$/
const JWT_SETTINGS = ['AUTH_JWKS_URL', 'AUTH_ISSUER', 'AUTH_AUDIENCE'] as const
const TOKEN_SETTINGS = ['AUTH_TOKENS', 'AUTH_TOKENS_FILE'] as const

/** Whether only this machine can reach a port on this address. */
export function isLoopback (host: string): boolean {
  return LOOPBACK_HOST.test(host)
}

/** The faults of the settings that control access, one line each. No line shows a token. */
export function accessFaults (settings: Settings, isSandbox: boolean): string[] {
  return [
    ...exposureFaults(settings, isSandbox),
    ...settings.AUTH_MODE === 'token' ? tokenFaults(settings) : unusedFaults(settings, TOKEN_SETTINGS, 'token'),
    ...settings.AUTH_MODE === 'jwt' ? jwtFaults(settings) : unusedFaults(settings, JWT_SETTINGS, 'jwt'),
    ...originFaults(settings),
    ...hostFaults(settings),
    ...isTrust(settings.TRUST_PROXY) ? [] : ['TRUST_PROXY: must be true, false, a number, or addresses and networks']
  ]
}

/** The accepted tokens, read anew at each call. Throws when the file cannot be read. */
export function readTokens ({ AUTH_TOKENS: tokens = '', AUTH_TOKENS_FILE: file }: Settings): string[] {
  return [...tokensIn(tokens), ...file === undefined ? [] : tokensIn(readFileSync(file, 'utf8'))].filter(isSoundToken)
}

function exposureFaults ({ ALLOW_ANONYMOUS: isAnonymous, AUTH_MODE: mode, HOST: host }: Settings, isSandbox: boolean) {
  if (mode !== 'none' || isLoopback(host) || isAnonymous || isSandbox) return []
  return [
    'HOST: this address serves everyone who can reach it; set AUTH_MODE, or ALLOW_ANONYMOUS=true if that is ' +
      'intended, or listen on a loopback address'
  ]
}

/** Whoever sets one of these expects authentication, so ignoring it would be dangerous. */
function unusedFaults (settings: Settings, names: ReadonlyArray<keyof Settings>, mode: string): string[] {
  return names.filter((name) => settings[name] !== undefined).map((name) =>
    `${name}: applies to AUTH_MODE=${mode} only`
  )
}

/** A line shows the position of an entry, not its text, which may hold a password. */
function originFaults ({ ALLOWED_ORIGINS: origins = '' }: Settings): string[] {
  return originsIn(origins).flatMap((origin, index) => isOrigin(origin)
    ? []
    : `ALLOWED_ORIGINS: entry ${index + 1} must be an origin as browsers send it (scheme, host, port; no path)`)
}

function hostFaults ({ ALLOWED_HOSTS: hosts = '' }: Settings): string[] {
  return hostsIn(hosts).flatMap((name, index) => isHostName(name)
    ? []
    : `ALLOWED_HOSTS: entry ${index + 1} must be a host name (no scheme, port or path), or \`*\` for any name`)
}

function isTrust (text: string): boolean {
  try {
    trustIn(text)
    return text.split(',').every((each) => /^[^/]+(\/\d{1,3})?$/.test(each.trim()))
  } catch {
    return false // An entry is neither an address nor a network.
  }
}

function tokenFaults ({ AUTH_TOKENS: tokens, AUTH_TOKENS_FILE: file }: Settings): string[] {
  if (tokens === undefined && file === undefined) {
    return ['AUTH_TOKENS: must be set with AUTH_MODE=token, unless AUTH_TOKENS_FILE is set']
  }
  return [
    ...tokens === undefined ? [] : tokenTextFaults('AUTH_TOKENS', () => tokens),
    ...file === undefined ? [] : tokenTextFaults('AUTH_TOKENS_FILE', () => readFileSync(file, 'utf8'))
  ]
}

function tokenTextFaults (name: string, read: () => string): string[] {
  try {
    const tokens = tokensIn(read())
    if (tokens.length === 0) return [`${name}: must contain a token`]
    return tokens.every(isSoundToken)
      ? []
      : [`${name}: each token must have at least ${SHORTEST_TOKEN} visible ASCII characters`]
  } catch {
    return [`${name}: cannot be read`]
  }
}

function jwtFaults (settings: Settings): string[] {
  return JWT_SETTINGS.filter((name) => settings[name] === undefined).map((name) =>
    `${name}: must be set with AUTH_MODE=jwt`
  )
}
