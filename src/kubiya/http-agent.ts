import { Agent, type Dispatcher } from 'undici'

/** What requests go out with. */
export interface HttpAgent {
  request (options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData>
  /** Breaks off what is under way. */
  destroy (): Promise<void>
}

export function createHttpAgent (options: Agent.Options): HttpAgent {
  const agent = new Agent(options)
  return { request: (asked) => agent.request(asked), destroy: () => agent.destroy() }
}
