import { startSandbox, type Sandbox, type SandboxOptions } from '../../src/sandbox/sandbox.ts'

export type Row = Record<string, unknown>

export type Teardown = { teardown: (end: () => Promise<void>) => void }

export const HOUR_MS = 3_600_000
export const NOON_MS = Date.parse('2025-06-03T12:34:56Z')

export async function started (t: Teardown, options?: SandboxOptions): Promise<Sandbox> {
  const sandbox = await startSandbox(options)
  t.teardown(() => sandbox.close())
  return sandbox
}

export async function ask (sandbox: Sandbox, question: Row = {}, path = '', init: RequestInit = {}): Promise<Response> {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(question)) {
    search.set(name, typeof value === 'string' ? value : JSON.stringify(value))
  }
  const headers = { authorization: `UserKey ${sandbox.apiKey}` }
  return await fetch(`${sandbox.url}/api/v1/auditing/items${path}?${search}`, { headers, redirect: 'manual', ...init })
}

export async function rows (sandbox: Sandbox, question: Row = {}): Promise<Row[]> {
  const response = await ask(sandbox, question)
  return await response.json() as Row[]
}
