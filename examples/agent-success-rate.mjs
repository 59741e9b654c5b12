// Shows how often each agent's actions succeeded in the last day. An unknown outcome does not count as a failure.
// node examples/agent-success-rate.mjs [http://127.0.0.1:3000] [-24h]
const [base = 'http://127.0.0.1:3000', since = '-24h'] = process.argv.slice(2)

// A closed output, as after `| head`, ends this program.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

const agents = new Map()
let path = `/api/v1/audit/events?category_type=agents&start_time=${since}&page_size=1000`
while (path !== null) {
  const response = await fetch(base + path)
  const answer = await response.json()
  if (!response.ok) throw new Error(`${answer.status} ${answer.code}: ${answer.detail}`)
  for (const { category_name: name, action_successful: successful } of answer.items) {
    const count = agents.get(name) ?? { succeeded: 0, failed: 0, unknown: 0 }
    count[successful === true ? 'succeeded' : successful === false ? 'failed' : 'unknown']++
    agents.set(name, count)
  }
  path = answer.pagination.next // null on the last page
}

console.table([...agents].map(([agent, { succeeded, failed, unknown }]) => ({
  agent,
  succeeded,
  failed,
  unknown,
  rate: succeeded + failed === 0 ? 'n/a' : `${(100 * succeeded / (succeeded + failed)).toFixed(1)} %`
})))
