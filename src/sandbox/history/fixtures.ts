export interface Agent {
  id: string
  name: string
}

type Some<T> = readonly [T, ...T[]]

export const ORG = 'acme'
export const HOOKS_EMAIL = 'hooks@acme.test'

/** Carries the name that the documentation uses in its examples. */
export const EXAMPLE_AGENT: Agent = { id: 'tm-0a11', name: 'my-agent' }
/** Carries the id that the documentation uses in its examples. */
export const EXAMPLE_SESSION = 'session-123'

export const AGENTS: Some<Agent> = [
  EXAMPLE_AGENT,
  { id: 'tm-1c7e', name: 'DevOps Helper' },
  { id: 'tm-2d40', name: 'Incident Scout' },
  { id: 'tm-3b9f', name: 'Cost Watcher' },
  { id: 'tm-4e02', name: 'Release Captain' },
  { id: 'tm-5a6d', name: 'Café Concierge' },
  { id: 'tm-6f88', name: 'Data Steward' },
  { id: 'tm-7c13', name: 'עוזר תמיכה' }
]

export const EMAILS: Some<string> = [
  'maya.levi@acme.test', 'noam.katz@acme.test', 'lucia.ferrer@acme.test', 'andre.dupuis@acme.test',
  'priya.nair@acme.test', 'tom.becker@acme.test', 'sofia.rossi@acme.test', 'kenji.mori@acme.test',
  'dana.shapiro@acme.test', 'omar.haddad@acme.test', 'ines.costa@acme.test', 'ruth.cohen@acme.test'
]

export const SERVICES: Some<string> = [
  'billing', 'checkout', 'search', 'inventory', 'notifications', 'identity', 'ledger', 'media', 'gateway', 'reports'
]

export const ALERTS: Some<string> = [
  'datadog-critical', 'pagerduty-oncall', 'github-push', 'grafana-latency', 'jira-new-ticket', 'sentry-regression'
]

export const WORKFLOWS: Some<string> = [
  'nightly-backup', 'rotate-credentials', 'deploy-staging', 'cleanup-volumes', 'refresh-warehouse'
]

export const REFUSALS: Some<string> = [
  'authentication failed: wrong password', 'authentication failed: one-time code expired',
  'authentication failed: account locked', 'authentication failed: error from the identity provider'
]

export const FAILURES: Some<string> = [
  'Error: timeout after 30s waiting for the rollout', 'Error: no credentials\nError: no credentials',
  'error: dial tcp 10.4.0.17:443: connection refused', 'Error from server (Forbidden): pods is forbidden',
  'timeout: context deadline exceeded',
  'Error: état inattendu: réponse 502 du serveur'
]

export const CLOSINGS: Some<string> = [
  'All healthy now ✅', 'Terminé: tout est vert ✅',
  'I opened a ticket so that we can follow up.', 'הכול תקין ✅',
  'Nothing else looks out of place.', 'I will keep an eye on it for the next hour.', 'Let me know if it comes back.'
]
