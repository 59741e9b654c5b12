import { readFileSync } from 'node:fs'
import { trustIn } from '../access/client-address.ts'
import { hostsIn, isHostName } from '../access/hosts.ts'
import { isOrigin, originsIn } from '../access/origins.ts'
import { SHORTEST_TOKEN, isSoundToken, tokensIn } from '../access/token-auth.ts'
import type { Settings } from '../settings.ts'

const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|::1)$/
const NEEDED_BY_JWT = ['AUTH_JWKS_URL', 'AUTH_ISSUER', 'AUTH_AUDIENCE'] as const
const ABOUT_TOKENS = ['AUTH_TOKENS', 'AUTH_TOKENS_FILE'] as const

/** Whether only this machine reaches what listens there. */
export function isLoopback (host: string): boolean {
  return LOOPBACK_HOST.test(host)
}

/** What is wrong with the settings of who is let in, each in a line that shows no token. */
export function accessFaults (settings: Settings, isSandbox: boolean): string[] {
  const {
    ALLOWED_ORIGINS: origins = '',
    ALLOW_ANONYMOUS: isAnonymous,
    AUTH_MODE: mode,
    HOST: host,
    TRUST_PROXY: proxy
  } = settings
  const faults: string[] = []
  if (mode === 'none' && !isLoopback(host) && !isAnonymous && !isSandbox) {
    faults.push(
      'HOST: serves whoever reaches it; set an AUTH_MODE, or ALLOW_ANONYMOUS=true if that is meant, or listen on a ' +
        'loopback address'
    )
  }
  if (mode === 'token') faults.push(...tokenFaults(settings))
  if (mode === 'jwt') faults.push(...jwtFaults(settings))
  // Whoever sets these expects that they are asked for.
  if (mode !== 'token') {
    faults.push(
      ...ABOUT_TOKENS.filter((name) => settings[name] !== undefined).map((name) =>
        `${name}: is of AUTH_MODE=token alone`
      )
    )
  }
  if (mode !== 'jwt') {
    faults.push(
      ...NEEDED_BY_JWT.filter((name) => settings[name] !== undefined).map((name) =>
        `${name}: is of AUTH_MODE=jwt alone`
      )
    )
  }
  // An entry is not shown: it may hold a password.
  faults.push(...originsIn(origins).flatMap((origin, index) => isOrigin(origin)
    ? []
    : `ALLOWED_ORIGINS: entry ${index + 1} is no origin as browsers send it (scheme, host, port; no path)`))
  faults.push(...hostsIn(settings.ALLOWED_HOSTS ?? '').flatMap((name, index) => isHostName(name)
    ? []
    : `ALLOWED_HOSTS: entry ${index + 1} is no host name (no scheme, port or path; \`*\` alone stands for any)`))
  if (!isTrust(proxy)) faults.push('TRUST_PROXY: must be true, false, a number, or addresses and networks')
  return faults
}

function isTrust (text: string): boolean {
  try {
    trustIn(text)
    return text.split(',').every((each) => /^[^/]+(\/\d{1,3})?$/.test(each.trim()))
  } catch {
    return false // An address or a network is none.
  }
}

/** The tokens that are accepted now. */
export function readTokens ({ AUTH_TOKENS: tokens = '', AUTH_TOKENS_FILE: file }: Settings): string[] {
  return [...tokensIn(tokens), ...file === undefined ? [] : tokensIn(readFileSync(file, 'utf8'))].filter(isSoundToken)
}

function tokenFaults (settings: Settings): string[] {
  const { AUTH_TOKENS: tokens, AUTH_TOKENS_FILE: file } = settings
  if (tokens === undefined && file === undefined) {
    return ['AUTH_TOKENS: must be set, or AUTH_TOKENS_FILE, with AUTH_MODE=token']
  }
  return [
    ...tokens === undefined ? [] : soundness('AUTH_TOKENS', () => tokens),
    ...file === undefined ? [] : soundness('AUTH_TOKENS_FILE', () => readFileSync(file, 'utf8'))
  ]
}

function soundness (name: string, read: () => string): string[] {
  try {
    const tokens = tokensIn(read())
    if (tokens.length === 0) return [`${name}: holds no token`]
    return tokens.every(isSoundToken)
      ? []
      : [`${name}: each token must have ${SHORTEST_TOKEN} visible ASCII characters at least`]
  } catch {
    return [`${name}: cannot be read`]
  }
}

function jwtFaults (settings: Settings): string[] {
  return NEEDED_BY_JWT.filter((name) => settings[name] === undefined).map((name) =>
    `${name}: must be set with AUTH_MODE=jwt`
  )
}
