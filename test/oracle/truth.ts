import { createHash } from 'node:crypto'
import { NANOS_PER_MS, formatInstant, type Instant } from '../../src/audit/instant.ts'

export type Item = Record<string, unknown>

/** What Kubiya was made to show, and since when. */
export interface Shown {
  /** Tells items apart by all that they say. */
  readonly key: string
  readonly n: number
  readonly instant: Instant
  readonly filters: readonly FilterName[]
  /** The publishing that brought each copy; more than one are exact duplicates. */
  readonly copies: readonly number[]
}

export interface Truth {
  /** Items that differ from one another and from all before, stamped with these instants. */
  make (instants: readonly Instant[], bytes?: number): Item[]
  /** Notes that these become visible now, in one publishing. */
  show (items: readonly Item[]): void
  /** The number of the last publishing. */
  last (): number
  all (): Iterable<Shown>
  get (key: string): Shown | undefined
  /** Copies in all. */
  count (): number
}

/** What subscribers ask for, and which items that lets through, judged anew here. */
export const FILTERS = {
  all: { query: {}, lets: () => true },
  kind: { query: { category_type: 'ai' }, lets: ({ category_type: kind }: Item) => kind === 'ai' },
  failed: { query: { status: 'failed' }, lets: ({ action_successful: successful }: Item) => successful === false },
  text: { query: { text: 'שלום' }, lets: ({ resource_text: text }: Item) => String(text).startsWith('שלום') },
  session: { query: { session_id: 's-1' }, lets: ({ n }: Item) => Number(n) % 5 === 1 }
} as const satisfies Record<string, { query: Record<string, string>, lets: (item: Item) => boolean }>
export type FilterName = keyof typeof FILTERS
export const FILTER_NAMES = Object.keys(FILTERS) as FilterName[]

/** All that a subscriber is given is judged against this, never against anything that the service says. */
export function createTruth (): Truth {
  const shown = new Map<string, Shown & { readonly copies: number[] }>()
  const instants = new WeakMap<Item, Instant>()
  let serial = 0
  let publishing = 0
  let count = 0

  return {
    make: (wanted, bytes = 0) => wanted.map((instant) => {
      const item = itemOf(serial++, instant, bytes)
      instants.set(item, instant)
      return item
    }),
    show (items) {
      publishing++
      for (const item of items) {
        const key = keyOf(item)
        const known = shown.get(key) ?? shownOf(item, key, instants.get(item))
        known.copies.push(publishing)
        shown.set(key, known)
        count++
      }
    },
    last: () => publishing,
    all: () => shown.values(),
    get: (key) => shown.get(key),
    count: () => count
  }
}

/** Of all that an event says but `id`, which the service may set. */
export function keyOf (item: Item): string {
  const { id, ...rest } = item
  const canonical = JSON.stringify(
    rest,
    (_name, value: unknown) => isPlain(value) ? Object.fromEntries(Object.entries(value).sort(byName)) : value
  )
  return createHash('sha1').update(canonical).digest('base64url')
}

function shownOf (item: Item, key: string, instant: Instant | undefined): Shown & { readonly copies: number[] } {
  if (instant === undefined) throw new Error('an item that was not made here')
  return {
    key,
    n: Number(item.n),
    instant,
    filters: FILTER_NAMES.filter((name) => FILTERS[name].lets(item)),
    copies: []
  }
}

function isPlain (value: unknown): value is Item {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function byName ([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1
}

function itemOf (n: number, instant: Instant, bytes: number): Item {
  return {
    org: 'acme',
    n,
    category_type: n % 2 === 0 ? 'agents' : 'ai',
    category_name: 'helper',
    resource_type: 'Message',
    resource_text: `${n % 4 === 0 ? 'שלום' : 'hello'} ${n} ${n % 2 === 0 ? 'x'.repeat(bytes) : marks(bytes)}`,
    action_type: 'sent',
    action_successful: n % 3 !== 0,
    timestamp: spelled(instant, n),
    extra: { session_id: `s-${n % 5}` }
  }
}

/** Combining marks out of canonical order, which cost more than their bytes where they are normalized as a whole. */
function marks (bytes: number): string {
  const count = Math.floor(bytes / 4)
  return `a${'\u0301'.repeat(count)}${'\u0323'.repeat(count)}`
}

/** The same instant in one of the spellings of RFC 3339, or without a zone. */
function spelled (instant: Instant, n: number): string {
  if (n % 4 === 1) return formatInstant(instant + 7_200_000n * NANOS_PER_MS).replace('Z', '+02:00')
  const text = formatInstant(instant)
  return n % 4 === 2 ? text.slice(0, -1) : text
}
