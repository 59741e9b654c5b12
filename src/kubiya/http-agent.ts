import type { Dispatcher } from 'undici'
import Agent from 'undici/lib/dispatcher/agent.js'
import request from 'undici/lib/api/api-request.js'

/** What requests go out with. */
export interface HttpAgent {
  request (options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData>
  /** Breaks off what is under way. */
  destroy (): Promise<void>
}

/** Of undici only what requests are made with: the rest of it would take longer to start than all that is the service's own. */
export function createHttpAgent (options: Agent.Options): HttpAgent {
  const agent = new Agent(options)
  return { request: (asked) => request.call(agent, asked), destroy: () => agent.destroy() }
}
