// Reads every event of the last hours, page by page. Events that arrive meanwhile move no other event between pages.
// node examples/page-loop.mjs [http://127.0.0.1:3000] [-6h]
const [base = 'http://127.0.0.1:3000', since = '-6h'] = process.argv.slice(2)

// A closed output, as after `| head`, ends this program.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

let path = `/api/v1/audit/events?start_time=${since}&page_size=500`
let pages = 0
let events = 0
while (path !== null) {
  const response = await fetch(base + path)
  if (!response.ok) {
    const problem = await response.json()
    throw new Error(`${problem.status} ${problem.code}: ${problem.detail}`)
  }
  const { items, pagination } = await response.json()
  pages++
  events += items.length
  for (const { timestamp, category_type: category, action_type: action } of items.slice(0, 1)) {
    console.log(`page ${pages} begins with ${timestamp} ${category} ${action}`)
  }
  path = pagination.next // null on the last page
}
console.log(`${events} events on ${pages} pages`)
