// Shows how often each agent's actions succeeded in the last day. An unknown outcome does not count as a failure.
// node examples/agent-success-rate.mjs [http://127.0.0.1:3000] [-24h]
const [base = 'http://127.0.0.1:3000', since = '-24h'] = process.argv.slice(2)

// A closed output, as after `| head`, ends this program.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

const response = await fetch(`${base}/api/v1/audit/summary?category_type=agents&start_time=${since}&top=100`)
const answer = await response.json()
if (!response.ok) throw new Error(`${answer.status} ${answer.code}: ${answer.detail}`)
const { by, coverage } = answer

console.table(by.category_name.values.map(({ value: agent, success, failed, unknown }) => ({
  agent,
  succeeded: success,
  failed,
  unknown,
  rate: success + failed === 0 ? 'n/a' : `${(100 * success / (success + failed)).toFixed(1)} %`
})))
if (by.category_name.other_events > 0) console.log(`and ${by.category_name.other_events} events of other agents`)
if (!coverage.complete) console.log(`counted back to ${coverage.start_time} only`)
