import { request, type IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

// Clients that send the same bytes as Kubiya's own programs: the Python SDK and the Go CLI up to v2.5.9.

/** What a client filters by, in Kubiya's keys. */
export interface ClientFilter {
  readonly timestamp?: { readonly gte?: string, readonly lte?: string }
  readonly [key: string]: unknown
}

export interface ClientQuery {
  readonly filter?: ClientFilter
  readonly direction?: 1 | -1
  readonly page?: number
  readonly pageSize?: number
}

export type Event = Record<string, any>

export interface ClientAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
}

export interface ClientOptions {
  /** As the program's own setting: the CLI's ends in `/api/v1`. */
  readonly baseUrl: string
  readonly apiKey?: string
  /** Waits between two tries. A test may count the waits instead. */
  readonly wait?: (ms: number) => Promise<unknown>
}

const LIST = '/auditing/items'
const DAY_MS = 86_400_000
const RETRIED = [429, 500, 502, 503, 504]
const MOST_RETRIES = 3
const STREAM_SIZE = 50

/** Sends one GET with exactly these headers. */
export function get (url: string, headers: Record<string, string>, method = 'GET'): Promise<ClientAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
      response.on('error', reject)
    })
    outgoing.on('error', reject).end()
  })
}

/** The query string of the SDK: Python's `json.dumps` and `urlencode`. An empty filter is left out. */
export function sdkSearch (
  { direction = -1, filter = {}, page = 1, pageSize = 50 }: ClientQuery,
  more: Record<string, string> = {}
): string {
  return [
    ...Object.keys(filter).length > 0 ? [['filter', pythonJson(filter)] as const] : [],
    ['sort', pythonJson({ timestamp: direction })] as const,
    ['page', String(page)] as const,
    ['page_size', String(pageSize)] as const,
    ...Object.entries(more)
  ].map(([name, value]) => `${name}=${quotePlus(value)}`).join('&')
}

/** The query string of the CLI: Go's `json.Marshal` and `url.Values`, which sorts the names. */
export function cliSearch ({ direction = -1, filter = {}, page = 1, pageSize = 50 }: ClientQuery): string {
  const whole = { timestamp: {}, ...filter } // A struct without a value is not left out.
  return [
    ['filter', goJson(whole)] as const,
    ['page', String(page)] as const,
    ['page_size', String(pageSize)] as const,
    ['sort', goJson({ timestamp: direction })] as const
  ].map(([name, value]) => `${name}=${quotePlus(value)}`).join('&')
}

/** The SDK's audit service. Failures of list and search are thrown, as its `AuditError`. */
export function createSdk ({ apiKey = 'k', baseUrl, wait = sleep }: ClientOptions) {
  const headers = {
    'User-Agent': 'kubiya@2.0.3',
    'Accept-Encoding': 'identity',
    Accept: '*/*',
    Connection: 'keep-alive',
    Authorization: `UserKey ${apiKey}`,
    'Content-Type': 'application/json'
  }
  return { list, search, describe, poller, fetch }

  /** An absolute path replaces the path of the base URL. Failed requests are sent again, three times. */
  async function fetch (path: string): Promise<ClientAnswer> {
    const url = `${new URL(baseUrl).origin}/api/v1${path}`
    for (let tries = 0; ; tries++) {
      const answer = await get(url, headers)
      if (!RETRIED.includes(answer.status) || tries === MOST_RETRIES) return answer
      const seconds = answer.headers['retry-after']
      const backOffMs = tries === 0 ? 0 : 1000 * 2 ** tries
      await wait(seconds === undefined ? backOffMs : Number(seconds) * 1000)
    }
  }

  async function list (query: ClientQuery = {}, more: Record<string, string> = {}): Promise<Event[]> {
    const { gte = secondsAgo(DAY_MS), ...rest } = query.filter?.timestamp ?? {}
    const filter = { ...query.filter, timestamp: { gte, ...rest } }
    return rows(await fetch(`${LIST}?${sdkSearch({ ...query, filter }, more)}`))
  }

  async function search (
    { status, text }: { status?: string, text?: string },
    query: ClientQuery = {}
  ): Promise<Event[]> {
    const more = {
      ...text !== undefined && { search_text: text },
      ...status !== undefined && { status_filter: status }
    }
    return list(query, more)
  }

  /** Asks by id. After any error it looks through the newest 1 000 events of the last seven days. */
  async function describe (id: string): Promise<{ event: Event | undefined, answer: ClientAnswer }> {
    const answer = await fetch(`${LIST}/${id}`)
    if (answer.status === 200) return { event: JSON.parse(answer.text), answer }
    const recent = await list({ filter: { timestamp: { gte: secondsAgo(7 * DAY_MS) } }, pageSize: 1000 })
    return { event: recent.find((each) => [each.id, each.audit_id, each.event_id].includes(id)), answer }
  }

  function poller () {
    return createPoller((query) => list(query))
  }
}

/** The CLI's audit commands. */
export function createCli ({ apiKey = 'k', baseUrl }: ClientOptions) {
  const headers = {
    'User-Agent': 'Go-http-client/1.1',
    Authorization: `UserKey ${apiKey}`,
    'Content-Type': 'application/json',
    'Accept-Encoding': 'identity'
  }
  return { list, exported, poller: () => createPoller(list) }

  /** Decodes an array and nothing else. Any other status than 200 is an error. */
  async function list (query: ClientQuery = {}): Promise<Event[]> {
    return rows(await get(`${baseUrl}${LIST}?${cliSearch(query)}`, headers))
  }

  /** The command `export`: page by page, until a page is shorter than asked for. */
  async function exported (query: ClientQuery, onPage: (page: number) => void = () => {}): Promise<Event[]> {
    const { pageSize = 100 } = query
    const all: Event[] = []
    for (let page = 1; ; page++) {
      const found = await list({ ...query, page, pageSize })
      all.push(...found)
      onPage(page)
      if (found.length < pageSize) return all
    }
  }
}

/** The stream of both programs: the newest 50 of the list from the newest timestamp on, each event once by its key. */
function createPoller (list: (query: ClientQuery) => Promise<Event[]>) {
  const processed = new Set<string>()
  let newest = secondsAgo(5 * 60_000)

  return async function poll (): Promise<Event[]> {
    const found = await list({ filter: { timestamp: { gte: newest } }, pageSize: STREAM_SIZE })
    const given: Event[] = []
    for (const event of found) {
      const key = [event.timestamp, event.category_type, event.category_name, event.action_type].join('-')
      if (processed.has(key)) continue
      processed.add(key)
      if (event.timestamp > newest) newest = event.timestamp
      given.push(event)
    }
    return given
  }
}

function rows ({ status, text }: ClientAnswer): Event[] {
  if (status !== 200) throw new Error(`${status} ${text}`)
  const parsed: unknown = JSON.parse(text)
  if (!Array.isArray(parsed)) throw new Error(`no array: ${text}`)
  return parsed
}

function secondsAgo (ms: number): string {
  return `${new Date(Date.now() - ms).toISOString().slice(0, 19)}Z`
}

/** `json.dumps`: a blank behind `:` and `,`, and only ASCII. */
function pythonJson (value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value).map(([key, each]) => `${pythonJson(key)}: ${pythonJson(each)}`).join(', ')}}`
  }
  return escaped(JSON.stringify(value), /[\u007f-\uffff]/g)
}

/** `json.Marshal`: compact, and safe inside HTML. */
function goJson (value: unknown): string {
  return escaped(JSON.stringify(value), /[<>&\u2028\u2029]/g)
}

function escaped (json: string, letters: RegExp): string {
  return json.replace(letters, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** `quote_plus` of Python, `QueryEscape` of Go: all but letters, digits and `_.-~` is escaped, a blank is `+`. */
function quotePlus (text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')
}
