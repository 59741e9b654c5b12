import type { ContentCoding, Compress } from './content-encoding.ts'

interface Encoded { readonly body: Buffer }

const ENCODING_OVERHEAD_BYTES = 600 // Its head and its objects, measured; they were not weighed.

export interface EncodingsOptions<Entry> {
  readonly compress: Compress
  /** Told when one was made and counts; whether it may be kept. */
  readonly onMade: (entry: Entry) => boolean
  readonly onError: (error: unknown) => void
}

/** The bodies of entries in other codings, which live as long as the entries do. */
export interface Encodings<Entry> {
  /** At once if it was made before; made once however many ask; `undefined` where it cannot be made. */
  get (entry: Entry, coding: ContentCoding): Buffer | Promise<Buffer | undefined>
  /** What those of an entry that are made come to. */
  bytes (entry: Entry): number
}

export function createEncodings<Entry extends Encoded> (
  { compress, onError, onMade }: EncodingsOptions<Entry>
): Encodings<Entry> {
  const made = new WeakMap<Entry, Map<ContentCoding, Buffer | Promise<Buffer | undefined>>>()

  return {
    get: (entry, coding) => made.get(entry)?.get(coding) ?? make(entry, coding),
    bytes: (entry) => [...made.get(entry)?.values() ?? []].reduce((sum, each) => sum + heldBytes(each), 0)
  }

  function make (entry: Entry, coding: ContentCoding): Promise<Buffer | undefined> {
    const codings = made.get(entry) ?? new Map<ContentCoding, Buffer | Promise<Buffer | undefined>>()
    const flight = compress(entry.body, coding).then((body) => {
      codings.set(coding, body)
      if (!onMade(entry)) codings.delete(coding)
      return body
    }, (error: unknown) => {
      codings.delete(coding) // Who asks next tries again.
      onError(error)
      return undefined
    })
    made.set(entry, codings.set(coding, flight))
    return flight
  }
}

function heldBytes (made: Buffer | Promise<Buffer | undefined>): number {
  return made instanceof Promise ? 0 : made.length + ENCODING_OVERHEAD_BYTES
}
