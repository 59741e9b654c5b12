import { SERVICES } from './fixtures.ts'
import type { Random } from './random.ts'

/** A task that users give to an agent, with the tool for it. */
export interface Task {
  ask: string
  tool: string
  args: Record<string, unknown>
  output: string
  answer: string
}

type Draw = (service: string, random: Random) => Task

const DRAWS: readonly [Draw, ...Draw[]] = [
  restart, scale, readLogs, plan, ticket, cost, query, health, rollBack, summarise
]

/** Draws a task about one of the services. */
export function drawTask (random: Random): Task {
  return random.pick(DRAWS)(random.pick(SERVICES), random)
}

function restart (service: string): Task {
  return {
    ask: `restart the ${service} pods`,
    tool: 'kubectl_restart',
    args: { namespace: service, wait: true },
    output: `deployment.apps/${service} restarted\n`,
    answer: `The ${service} pods have been restarted.`
  }
}

function scale (service: string, random: Random): Task {
  const replicas = random.integer(3, 12)
  return {
    ask: `scale ${service} to ${replicas} replicas please`,
    tool: 'kubectl_scale',
    args: { namespace: service, replicas },
    output: `deployment.apps/${service} scaled\n`,
    answer: `${service} now runs ${replicas} replicas.`
  }
}

function readLogs (service: string, random: Random): Task {
  const lines = random.integer(2, 90)
  return {
    ask: `any errors in the ${service} logs of the last hour?`,
    tool: 'read_logs',
    args: { service, since: '1h', level: 'error' },
    output: `${lines} lines match\n{"level":"error","service":"${service}","msg":"upstream timeout"}\n`,
    answer: `${lines} error lines, most of them one upstream timeout.`
  }
}

function plan (service: string, random: Random): Task {
  const changes = random.integer(0, 9)
  return {
    ask: `what would terraform change for ${service}?`,
    tool: 'terraform_plan',
    args: { dir: `infra/${service}`, lock: false },
    output: `Plan: ${changes} to add, ${random.integer(0, 4)} to change, 0 to destroy.\n`,
    answer: `The plan for ${service} adds ${changes} resources and destroys none.`
  }
}

function ticket (service: string, random: Random): Task {
  const key = `OPS-${random.integer(1000, 9999)}`
  return {
    ask: `create a ticket: ${service} café menu shows “é” as “Ã©”`,
    tool: 'jira_create',
    args: { project: 'OPS', summary: `${service}: é is shown wrongly` },
    output: JSON.stringify({ key, status: 'open' }),
    answer: `Created **${key}** for the ${service} team.`
  }
}

function cost (service: string, random: Random): Task {
  const dollars = random.integer(120, 4800)
  return {
    ask: `how much did ${service} cost us yesterday?`,
    tool: 'aws_cost',
    args: { tag: service, days: 1 },
    output: JSON.stringify({ service, usd: dollars }),
    answer: `${service} cost $${dollars} yesterday.`
  }
}

function query (service: string, random: Random): Task {
  const rows = random.integer(0, 5000)
  return {
    ask: `כמה הזמנות נכשלו ב-${service} היום?`,
    tool: 'sql_query',
    args: { database: service, sql: "select count(*) from orders where state = 'failed'" },
    output: `count\n-----\n${rows}\n`,
    answer: `היום נכשלו ${rows} הזמנות.`
  }
}

function health (service: string, random: Random): Task {
  return {
    ask: `is ${service} healthy?`,
    tool: 'http_get',
    args: { url: `https://${service}.acme.test/healthz`, timeout: 5 },
    output: JSON.stringify({ status: 200, body: '<ok & fine>', ms: random.integer(8, 900) }),
    answer: `${service} answers with 200 ✅`
  }
}

function rollBack (service: string, random: Random): Task {
  const revision = random.integer(40, 400)
  return {
    ask: `roll ${service} back to the previous revision`,
    tool: 'helm_rollback',
    args: { release: service, revision },
    output: `Rollback was a success! Happy Helming!\nREVISION: ${revision}\n`,
    answer: `${service} is back at revision ${revision}.`
  }
}

function summarise (service: string, random: Random): Task {
  const commits = random.integer(2, 40)
  return {
    ask: `summarise what changed in ${service} since Monday`,
    tool: 'git_log',
    args: { repository: `acme/${service}`, since: 'monday' },
    output: Array.from({ length: 3 }, () => `${random.hex(7)} fix ${service} rounding`).join('\n'),
    answer: `## ${service}\n- ${commits} commits\n- 1 migration\n- no change of the public API`
  }
}
