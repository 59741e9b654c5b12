// Looks at what others sent before it is believed.

export type Fields = Readonly<Record<string, unknown>>

export function isObject (value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A text that is not empty, of at most so many UTF-16 code units. */
export function isText (value: unknown, longest = Infinity): value is string {
  return typeof value === 'string' && value !== '' && value.length <= longest
}

/** A finite number within both bounds. */
export function isBetween (value: unknown, least = 0, most = Number.MAX_VALUE): value is number {
  return typeof value === 'number' && value >= least && value <= most
}

/** The object that JSON text holds. Bytes are no text. */
export function parseObject (text: unknown): Fields | undefined {
  try {
    const value: unknown = typeof text === 'string' ? JSON.parse(text) : undefined
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
