import type { OwnOrigin } from './hosts.ts'
import type { Denied } from './caller.ts'

/** Which pages may stream. */
export interface Origins {
  readonly list: readonly string[]
  /**
   * Whether a request with this `Origin` may go on; one without comes from no browser and is judged by its credential.
   */
  allows (origin: string | undefined): boolean
}

/** An exact list (RFC 6454 §6.2); an empty one lets no page in. */
export function createOrigins (list: readonly string[]): Origins {
  const allowed = new Set(list)
  return { list, allows: (origin) => origin === undefined || allowed.has(origin) }
}

/** Why a page may not stream, and which setting would let it. `own`: the origin that the request itself would have. */
export function originRefusal (origin: string, own: OwnOrigin | undefined): Denied {
  const isOwn = own?.origin === origin
  const remedy = isOwn
    ? `The setting ALLOWED_HOSTS=${new URL(origin).hostname} admits pages of this service's own address.`
    : isOrigin(origin)
      ? `The setting ALLOWED_ORIGINS=${origin} admits them.`
      : 'No setting admits an origin of this form.'
  return { ok: false, code: 'forbidden', detail: `Pages of this origin may not stream from here. ${remedy}` }
}

/** The origins in a setting's text, separated by commas. */
export function originsIn (text: string): string[] {
  return text.split(',').map((each) => each.trim()).filter((each) => each !== '')
}

/** Whether a text is an origin just as browsers send it: scheme, host, port where it is not the scheme's own. */
export function isOrigin (text: string): boolean {
  return /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text
}
