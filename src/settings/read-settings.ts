import type { TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { Settings } from '../settings.ts'
import { accessFaults } from './access-rules.ts'
import { readKeyFile, serviceLinks, urlFaults } from './trust-rules.ts'

// Settings whose feature is not built yet, with the values that request nothing.
const NOT_BUILT: Record<string, string[]> = {
  REDIS_URL: []
}

/** Settings of earlier versions, with their names today. */
const RENAMED: Record<string, keyof Settings> = { MAX_SCOPES: 'MAX_TENANTS', SCOPE_IDLE_MS: 'TENANT_IDLE_MS' }

/** Settings of earlier versions that have no successor. */
const REMOVED = ['EVENTS_LIMIT_TOTAL_PER_MINUTE', 'BYTES_LIMIT_PER_MINUTE', 'BYTES_LIMIT_TOTAL_PER_MINUTE']

export type SettingsOutcome =
  | {
    readonly ok: true,
    readonly settings: Settings,
    /** Ignored variables, one line each. */
    readonly warnings: readonly string[]
  }
  | { readonly ok: false, readonly faults: string[] }

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads the environment. Returns frozen settings, or every fault in it, one line each. A line names the setting and
 * never shows its value.
 */
export function readSettings (environment: Environment): SettingsOutcome {
  const links = serviceLinks(environment, Object.keys(Settings.properties))
  const { faults: keyFaults, key } = readKeyFile(environment)
  const texts: Record<string, string | undefined> = { ...environment }
  if (key !== undefined) texts.KUBIYA_API_KEY = key
  for (const name of links) texts[name] = undefined
  const entries = Object.entries<TSchema>(Settings.properties).map(([name, schema]) => {
    const text = texts[name]?.trim() ?? ''
    const value: unknown = text === '' ? schema.default : readValue(schema, text)
    return { name, schema, value, isValid: value === undefined || Value.Check(schema, value) }
  })
  // Rules between settings see the default in place of an invalid value. So one start reports all faults.
  const settings = Object.freeze(Object.fromEntries(entries.flatMap(({ name, schema, value, isValid }) => {
    const usable: unknown = isValid ? value : schema.default
    return usable === undefined ? [] : [[name, usable]]
  }))) as Settings
  const invalid = entries.filter(({ isValid }) => !isValid)
  const faults = [
    ...invalid.map(({ name, schema }) => `${name}: ${expectation(schema)}`),
    ...keyFaults,
    ...notBuiltFaults(environment),
    ...formerFaults(environment),
    ...ruleFaults(settings).filter((fault) => !invalid.some(({ name }) => fault.startsWith(`${name}:`)))
  ]
  if (faults.length > 0) return { ok: false, faults }
  return {
    ok: true,
    settings,
    warnings: links.map((name) => `${name}: ignored, because it is the address of a Kubernetes service`)
  }
}

/** Whether the service uses the embedded sandbox instead of Kubiya. */
export function usesSandbox (settings: Settings): boolean {
  return !hasKey(settings) && settings.NODE_ENV !== 'production' && settings.AUTH_MODE !== 'passthrough'
}

/** A key file counts as a key: a file that cannot be read is a fault of its own. */
function hasKey (settings: Settings): boolean {
  return settings.KUBIYA_API_KEY !== undefined || settings.KUBIYA_API_KEY_FILE !== undefined
}

/** Converts a text to the schema's type, or returns it unchanged: `1e3` is not the number of a port. */
function readValue (schema: TSchema, text: string): unknown {
  if (schema.type === 'integer') return /^-?\d{1,15}$/.test(text) ? Number(text) : text
  if (schema.type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  return text
}

function expectation (schema: TSchema): string {
  if (schema.type === 'integer') {
    return `must be a whole number from ${String(schema.minimum)} to ${String(schema.maximum)}`
  }
  if (schema.type === 'boolean') return 'must be true or false'
  if (Array.isArray(schema.anyOf)) {
    return `must be one of ${schema.anyOf.map((each: TSchema) => String(each.const)).join(', ')}`
  }
  return schema.pattern === undefined ? 'must be a text' : `must match ${String(schema.pattern)}`
}

function notBuiltFaults (environment: Environment): string[] {
  return Object.entries(NOT_BUILT).flatMap(([name, neutral]) => {
    const value = environment[name]?.trim() ?? ''
    return value === '' || neutral.includes(value) ? [] : [`${name}: this version does not support it yet`]
  })
}

function formerFaults (environment: Environment): string[] {
  const isSet = (name: string) => (environment[name] ?? '').trim() !== ''
  return [
    ...Object.entries(RENAMED).filter(([name]) => isSet(name)).map(([name, now]) => `${name}: is called ${now} now`),
    ...REMOVED.filter(isSet).map((name) =>
      `${name}: was removed; unread answers and requests to Kubiya have their own limits`
    )
  ]
}

function ruleFaults (settings: Settings): string[] {
  const faults: string[] = []
  if (!hasKey(settings) && settings.NODE_ENV === 'production' && settings.AUTH_MODE !== 'passthrough') {
    faults.push('KUBIYA_API_KEY: must be set when NODE_ENV is production')
  }
  if (settings.POLL_MAX_INTERVAL_MS < settings.POLL_INTERVAL_MS) {
    faults.push('POLL_MAX_INTERVAL_MS: must not be less than POLL_INTERVAL_MS')
  }
  if (settings.METRICS_PORT !== undefined && settings.METRICS_PORT !== 0 && settings.METRICS_PORT === settings.PORT) {
    faults.push('METRICS_PORT: must not be equal to PORT')
  }
  return [...faults, ...urlFaults(settings), ...accessFaults(settings, usesSandbox(settings))]
}
