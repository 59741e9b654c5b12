const AGENTS = ['deploy-helper', 'incident-desk', 'cost-watch', 'access-review', 'db-caretaker']
const TOOLS = ['kubectl', 'terraform', 'psql', 'aws', 'helm', 'jira']
const WORDS = (
  'restart rollout staging billing notifications timeout replica quota budget approve denied namespace cluster ' +
  'latency pods secret rotate backup restore canary'
).split(' ')

/** Of how many groups each event belongs to one tenth: filters by `category_name` tell them apart. */
export const GROUPS = 10

/** An audit event like Kubiya's, about 900 bytes as published; every one differs. */
export function eventOf (n: number, ms: number): object {
  const words = (count: number) =>
    Array.from({ length: count }, (_, i) => WORDS[scramble(n * 31 + i) % WORDS.length]).join(' ')
  return {
    org: 'acme',
    email: `user${scramble(n) % 97}@acme.test`,
    version: 1,
    category_type: ['agents', 'tools', 'auth'][n % 3],
    category_name: `${AGENTS[n % AGENTS.length]}-${n % GROUPS}`,
    resource_type: 'Tool Execution',
    resource_text: `${words(12)} ${n}`,
    action_type: ['sent', 'executed', 'created'][scramble(n) % 3],
    action_successful: scramble(n) % 7 !== 0,
    timestamp: `${new Date(ms).toISOString().slice(0, -1)}${String(n % 1000).padStart(3, '0')}Z`,
    extra: {
      session_id: `${hex(n)}-${hex(n >>> 3)}`,
      tool_name: `${TOOLS[scramble(n) % TOOLS.length]}_${WORDS[n % WORDS.length]}`,
      tool_args: {
        namespace: `team-${n % 13}`,
        replicas: n % 5,
        image: `registry.acme.test/app:${scramble(n) % 5000}`,
        reason: words(8)
      },
      tool_output: `${words(14)}\n${words(10)}`,
      trace: hex(n * 7)
    },
    scope: 'org'
  }
}

function hex (n: number): string {
  return scramble(n).toString(16).padStart(8, '0') + scramble(n + 1).toString(16).padStart(8, '0')
}

/** A number that looks like chance and is the same in each run. */
function scramble (n: number): number {
  let x = Math.imul(n ^ 0x9e3779b9, 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}
