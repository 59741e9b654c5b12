import { parseObject, type Fields } from './values.ts'

const CREATED = 201
const ANSWER_MS = 10_000
const LONGEST_ANSWER_BYTES = 1024 * 1024

/** What an HTTP server answered: the object in its body, where it holds one that is not too long. */
export interface Answer {
  readonly status: number
  readonly contentType: string
  readonly body: Fields | undefined
}

/**
 * Asks, and reads what is answered within 10 s. `undefined`: nobody answered in time, or the page may not read the
 * answer. A `fetch` that is passed in may ignore that it is aborted, so its promise is not waited for either.
 */
export async function readAnswer (
  ask: (signal: AbortSignal) => Promise<Response>,
  asking: AbortController
): Promise<Answer | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<undefined>((resolve) => { timer = setTimeout(() => resolve(undefined), ANSWER_MS) })
  try {
    return await Promise.race([answerTo(ask, asking.signal), late])
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
    asking.abort() // Whoever answers may go on for ever.
  }
}

async function answerTo (ask: (signal: AbortSignal) => Promise<Response>, signal: AbortSignal): Promise<Answer> {
  const response = await ask(signal)
  const { headers, status } = response
  const contentType = headers.get('content-type') ?? ''
  const isRead = status === CREATED || contentType.includes('json')
  return { status, contentType, body: isRead ? parseObject(await readText(response)) : undefined }
}

/** `undefined`: it is too long. */
async function readText (response: Response): Promise<string | undefined> {
  const reader = response.body?.getReader()
  if (reader === undefined) return response.text() // Not every `fetch` has streams.
  const decoder = new TextDecoder()
  let [text, bytes] = ['', 0]
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    bytes += value.length
    if (bytes > LONGEST_ANSWER_BYTES) return undefined // Whoever asked aborts it.
    text += decoder.decode(value, { stream: true })
  }
}
