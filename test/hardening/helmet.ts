import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import helmet from 'helmet'

/** The headers that helmet sets. No page is ever in a frame, not even in one of its own origin. */
export async function helmetHeaders (): Promise<Record<string, string>> {
  const request = new IncomingMessage(new Socket())
  const response = new ServerResponse(request)
  await new Promise<void>((resolve, reject) =>
    helmet({ frameguard: { action: 'deny' } })(request, response, (error) => error === undefined ? resolve() : reject(error))
  )
  return Object.fromEntries(Object.entries(response.getHeaders()).map(([name, value]) => [name, String(value)]))
}
