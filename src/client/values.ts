// Checks of values that a server sent.

export type Fields = Readonly<Record<string, unknown>>

export function isObject (value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether a value is a text that is not empty, of at most `longest` UTF-16 code units. */
export function isText (value: unknown, longest = Infinity): value is string {
  return typeof value === 'string' && value !== '' && value.length <= longest
}

/** Whether a value is a finite number within both bounds. */
export function isBetween (value: unknown, least = 0, most = Number.MAX_VALUE): value is number {
  return typeof value === 'number' && value >= least && value <= most
}

/** Parses JSON text. `undefined`: it is not the text of an object. Bytes are not text. */
export function parseObject (text: unknown): Fields | undefined {
  try {
    const value: unknown = typeof text === 'string' ? JSON.parse(text) : undefined
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
