/** Which pages may stream. */
export interface Origins {
  readonly list: readonly string[]
  /** Whether a request with this `Origin` may go on; one without comes from no browser and is judged by its credential. */
  allows (origin: string | undefined): boolean
}

/** An exact list (RFC 6454 §6.2); an empty one lets no page in. */
export function createOrigins (list: readonly string[]): Origins {
  const allowed = new Set(list)
  return { list, allows: (origin) => origin === undefined || allowed.has(origin) }
}

/** The origins in a setting's text, separated by commas. */
export function originsIn (text: string): string[] {
  return text.split(',').map((each) => each.trim()).filter((each) => each !== '')
}

/** Whether a text is an origin just as browsers send it: scheme, host, port where it is not the scheme's own. */
export function isOrigin (text: string): boolean {
  return /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text
}
