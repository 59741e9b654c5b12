// What is used of `negotiator`; the published types lack `preferred`.
declare module 'negotiator' {
  export default class Negotiator {
    constructor (request: { readonly headers: Readonly<Record<string, string | undefined>> })
    /** Encodings of `available` that are acceptable, best first; `preferred` decides among equal weights. */
    encodings (available: readonly string[], options: { readonly preferred: readonly string[] }): string[]
    /** Media types of `available` that are acceptable, best first; among equals, in their order. */
    mediaTypes (available: readonly string[]): string[]
  }
}
