import { parseObject, type Fields } from './values.ts'

const CREATED = 201
const ANSWER_MS = 10_000
const LONGEST_ANSWER_BYTES = 1024 * 1024

/** The answer of an HTTP server. `body` is the JSON object in its body, if there is one that is not too long. */
export interface Answer {
  readonly status: number
  readonly contentType: string
  readonly body: Fields | undefined
}

/**
 * Sends a request and reads its answer within 10 s. `undefined`: no answer arrived in time, or the page may not read
 * it. A custom `fetch` may ignore the abort signal, so its promise is not awaited after the deadline.
 */
export async function readAnswer (
  send: (signal: AbortSignal) => Promise<Response>,
  abort: AbortController
): Promise<Answer | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<undefined>((resolve) => { timer = setTimeout(() => resolve(undefined), ANSWER_MS) })
  try {
    return await Promise.race([answerTo(send, abort.signal), late])
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
    abort.abort() // The answer may never end.
  }
}

async function answerTo (send: (signal: AbortSignal) => Promise<Response>, signal: AbortSignal): Promise<Answer> {
  const response = await send(signal)
  const { headers, status } = response
  const contentType = headers.get('content-type') ?? ''
  const isRead = status === CREATED || contentType.includes('json')
  return { status, contentType, body: isRead ? parseObject(await readText(response)) : undefined }
}

/** `undefined`: the body is too long. */
async function readText (response: Response): Promise<string | undefined> {
  const reader = response.body?.getReader()
  if (reader === undefined) return response.text() // Some implementations of `fetch` have no streams.
  const decoder = new TextDecoder()
  let [text, bytes] = ['', 0]
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    bytes += value.length
    if (bytes > LONGEST_ANSWER_BYTES) return undefined // `readAnswer` aborts the request.
    text += decoder.decode(value, { stream: true })
  }
}
