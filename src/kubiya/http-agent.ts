import { Agent, type Dispatcher } from 'undici'

/** An HTTP client with its own connections. */
export interface HttpAgent {
  request (options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData>
  /** Aborts the requests in progress. */
  destroy (): Promise<void>
}

export function createHttpAgent (options: Agent.Options): HttpAgent {
  const agent = new Agent(options)
  return { request: (request) => agent.request(request), destroy: () => agent.destroy() }
}
