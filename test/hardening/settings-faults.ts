import { readSettings } from '../../src/settings/read-settings.ts'

export const JWT = {
  AUTH_MODE: 'jwt',
  AUTH_JWKS_URL: 'https://id.example/keys',
  AUTH_ISSUER: 'https://id.example',
  AUTH_AUDIENCE: 'audit'
}

export function faultsOf (environment: Record<string, string>): string[] {
  const outcome = readSettings({ KUBIYA_API_KEY: 'k', ...environment })
  return outcome.ok ? [] : outcome.faults
}
