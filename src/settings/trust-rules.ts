import { readFileSync } from 'node:fs'
import type { Settings } from '../settings.ts'

const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/
// Credentials travel to the first; the keys that verify credentials come from the second.
const CONFIDENTIAL = ['KUBIYA_BASE_URL', 'AUTH_JWKS_URL'] as const
const URLS = [...CONFIDENTIAL, 'OTEL_EXPORTER_OTLP_ENDPOINT'] as const
const SERVICE_LINK = /^tcp:\/\/[^\s/:]+:\d+$/
const API_KEY = /^[\x21-\x7e]{1,8192}$/

/** The faults of the URLs that receive secrets, one line each. No line shows a part of a URL. */
export function urlFaults (settings: Settings): string[] {
  return URLS.flatMap((name) => {
    const text = settings[name]
    if (text === undefined) return []
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (url === undefined || !/^https?:$/.test(url.protocol)) return [`${name}: must be an http or https URL`]
    return [...partFaults(name, url), ...plainHttpFaults(name, url, settings.ALLOW_PLAIN_HTTP)]
  })
}

/** A user, a password or a query may be a secret, and the service logs its URLs. */
function partFaults (name: string, url: URL): string[] {
  const parts = [
    ...url.username !== '' || url.password !== '' ? ['a user or password'] : [],
    ...url.href.includes('?') ? ['a query'] : [],
    ...url.href.includes('#') ? ['a fragment'] : []
  ]
  return parts.map((part) => `${name}: must not contain ${part}`)
}

function plainHttpFaults (name: string, { hostname, protocol }: URL, isAllowed: boolean): string[] {
  const isConfidential = CONFIDENTIAL.some((each) => each === name)
  if (!isConfidential || protocol === 'https:' || isAllowed || LOOPBACK_HOST.test(hostname)) return []
  return [
    `${name}: must be https beyond loopback; ALLOW_PLAIN_HTTP=true permits http, which others on the network can ` +
      'read and change'
  ]
}

/** Kubernetes sets `<SERVICE>_PORT=tcp://…` for each service of a namespace. Returns the settings with such a value. */
export function serviceLinks (
  environment: Readonly<Record<string, string | undefined>>,
  names: readonly string[]
): string[] {
  return names.filter((name) => name.endsWith('PORT') && SERVICE_LINK.test(environment[name]?.trim() ?? ''))
}

export type KeyOutcome = { readonly key: string | undefined, readonly faults: readonly string[] }

/** The API key in the file of `KUBIYA_API_KEY_FILE`. A fault names the setting only: a path may be a secret too. */
export function readKeyFile (environment: Readonly<Record<string, string | undefined>>): KeyOutcome {
  const path = environment.KUBIYA_API_KEY_FILE?.trim() ?? ''
  if (path === '') return { key: undefined, faults: [] }
  const fault = (text: string): KeyOutcome => ({ key: undefined, faults: [`KUBIYA_API_KEY_FILE: ${text}`] })
  if ((environment.KUBIYA_API_KEY?.trim() ?? '') !== '') return fault('must not be set together with KUBIYA_API_KEY')
  try {
    const key = readFileSync(path, 'utf8').replace(/[\r\n]+$/, '')
    if (key === '') return fault('the file is empty')
    return API_KEY.test(key) ? { key, faults: [] } : fault('the file must hold one key of visible ASCII characters')
  } catch {
    return fault('the file cannot be read')
  }
}
