import type { OwnOrigin } from './hosts.ts'
import type { Denied } from './caller.ts'

/** The origins whose pages may stream. */
export interface Origins {
  readonly list: readonly string[]
  /**
   * Whether a request with this `Origin` is allowed. A request without one comes from no page of another origin; its
   * credential decides.
   */
  allows (origin: string | undefined): boolean
}

/** Compares origins exactly (RFC 6454 §6.2). An empty list allows no page. */
export function createOrigins (list: readonly string[]): Origins {
  const allowed = new Set(list)
  return { list, allows: (origin) => origin === undefined || allowed.has(origin) }
}

/** The denial of a page, with the setting that would allow it. `own` is the service's own origin for this request. */
export function originRefusal (origin: string, own: OwnOrigin | undefined): Denied {
  const isOwn = own?.origin === origin
  const remedy = isOwn
    ? `The setting ALLOWED_HOSTS=${new URL(origin).hostname} admits pages of this service's own address.`
    : isOrigin(origin)
      ? `The setting ALLOWED_ORIGINS=${origin} admits them.`
      : 'No setting admits an origin of this form.'
  return { ok: false, code: 'forbidden', detail: `Pages of this origin may not stream from here. ${remedy}` }
}

/** The origins in the text of a setting, separated by commas. */
export function originsIn (text: string): string[] {
  return text.split(',').map((each) => each.trim()).filter((each) => each !== '')
}

/** Whether a text is an origin exactly as browsers send it: scheme, host, and a port that is not the default. */
export function isOrigin (text: string): boolean {
  return /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text
}
