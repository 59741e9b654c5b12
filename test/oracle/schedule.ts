import fc from 'fast-check'
import type { Ignorable } from '../../src/sandbox/quirks.ts'
import type { Fault } from '../../src/sandbox/sandbox.ts'
import type { Transport } from './connection.ts'
import type { Knobs } from './composition.ts'
import type { FilterName } from './truth.ts'

/**
 * One thing that happens. Subscribers are named by number, modulo as many as there are; times are by the quick clock.
 */
export type Step =
  /**
   * New events: apart from one another, all of one instant, or in copies that are equal in every field. `late`: share
   * of the lateness.
   */
  | {
    readonly kind: 'publish',
    readonly form: 'apart' | 'instant' | 'twins',
    readonly count: number,
    readonly late: number,
    readonly spread: number
  }
  /** One more copy of the last event that stands alone, if that is still in time. */
  | { readonly kind: 'again' }
  | { readonly kind: 'fault', readonly fault: FaultName, readonly times: number, readonly whom: 'poller' | 'all' }
  | { readonly kind: 'join', readonly transport: Transport, readonly filter: FilterName, readonly agoMs: number }
  | { readonly kind: 'stall', readonly who: number }
  | { readonly kind: 'wake', readonly who: number }
  | { readonly kind: 'reconnect', readonly who: number, readonly back: number }
  | {
    readonly kind: 'restart',
    readonly how: 'graceful' | 'abrupt',
    readonly downMs: number,
    readonly meanwhile: number
  }
  | { readonly kind: 'wait', readonly realMs: number }
  /** Waits until nobody who reads misses anything. */
  | { readonly kind: 'settle' }

export interface Habits {
  readonly pageCap: number
  readonly offsetBy: 'capped' | 'asked'
  readonly shape: 'array' | 'items' | 'data'
  readonly empty: 'array' | 'null' | '204' | 'items-null'
  readonly ignore: readonly Ignorable[]
}

/** A whole trial, as data: it shrinks, and is the same again from its seed. */
export interface Schedule {
  readonly knobs: Knobs
  readonly quirks: Habits
  /** Events from before the service started, over the last twenty minutes. */
  readonly past: number
  readonly steps: readonly Step[]
}

export const FAULTS = {
  'status 500': { kind: 'status', status: 500 },
  'status 429': { kind: 'status', status: 429, headers: { 'retry-after': '1' } },
  html: { kind: 'html' },
  empty: { kind: 'empty-body' },
  object: { kind: 'body', body: '{}' },
  truncated: { kind: 'truncated' },
  reset: { kind: 'reset' },
  hang: { kind: 'hang' },
  silence: { kind: 'headers-then-silence' },
  delay: { kind: 'delay', delayMs: 100 }
} as const satisfies Record<string, Fault>
export type FaultName = keyof typeof FAULTS

const anyTransport = fc.constantFrom<Transport>('ws', 'sse')
const anyFilter = fc.constantFrom<FilterName>('all', 'all', 'kind', 'failed', 'text', 'session')
const anyListener = fc.nat({ max: 11 })
const anyShare = fc.nat({ max: 100 }).map((percent) => percent / 100)

export const anyPublish = fc.record({
  kind: fc.constant('publish' as const),
  form: fc.constantFrom<'apart' | 'instant' | 'twins'>('apart', 'apart', 'apart', 'instant', 'twins'),
  count: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 8 }) }, {
    weight: 1,
    arbitrary: fc.integer({ min: 30, max: 120 })
  }),
  late: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: anyShare }),
  spread: anyShare
})

const anyStep = fc.oneof<Array<fc.WeightedArbitrary<Step>>>(
  { weight: 12, arbitrary: anyPublish },
  { weight: 2, arbitrary: fc.constant({ kind: 'again' }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('fault' as const),
      fault: fc.constantFrom(...Object.keys(FAULTS) as FaultName[]),
      times: fc.integer({ min: 1, max: 3 }),
      whom: fc.constantFrom<'poller' | 'all'>('poller', 'poller', 'all')
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('join' as const),
      transport: anyTransport,
      filter: anyFilter,
      agoMs: fc.oneof(fc.integer({ min: 0, max: 20_000 }), fc.integer({ min: 0, max: 1_200_000 }))
    })
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('stall' as const), who: anyListener }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('wake' as const), who: anyListener }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('reconnect' as const), who: anyListener, back: fc.nat({ max: 40 }) })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('restart' as const),
      how: fc.constantFrom<'graceful' | 'abrupt'>('graceful', 'abrupt'),
      downMs: fc.nat({ max: 2000 }),
      meanwhile: fc.nat({ max: 30 })
    })
  },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('wait' as const), realMs: fc.nat({ max: 60 }) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'settle' }) }
)

export const anyKnobs: fc.Arbitrary<Knobs> = fc.record({
  latenessMs: fc.constantFrom(2000, 4000, 20_000),
  pollPageSize: fc.constantFrom(1000, 1000, 25),
  historyEvents: fc.constantFrom(10_000, 10_000, 200, 30, 5),
  replayLimit: fc.constantFrom(10_000, 10_000, 40),
  backlogBytes: fc.constantFrom(65_536, 4096, 1024),
  stallMs: fc.constantFrom(30_000, 300)
})

export const anyHabits: fc.Arbitrary<Habits> = fc.record({
  pageCap: fc.integer({ min: 10, max: 100 }),
  offsetBy: fc.constantFrom<'capped' | 'asked'>('capped', 'asked'),
  shape: fc.constantFrom<'array' | 'items' | 'data'>('array', 'items', 'data'),
  empty: fc.constantFrom<'array' | 'null' | '204' | 'items-null'>('array', 'null', '204', 'items-null'),
  ignore: fc.constantFrom<Ignorable[]>([], [], [], ['filter'], ['sort', 'bounds'])
})

export const anySchedule: fc.Arbitrary<Schedule> = fc.record({
  knobs: anyKnobs,
  quirks: anyHabits,
  past: fc.nat({ max: 150 }),
  steps: fc.array(anyStep, { minLength: 15, maxLength: 40, size: 'max' })
})

/**
 * Nothing but events, some of them late, and subscribers that join: what a service with a part taken out must fail at.
 */
export function anyCalmSchedule (pageCap: number): fc.Arbitrary<Schedule> {
  return fc.record({
    knobs: fc.constant({
      latenessMs: 4000,
      pollPageSize: 1000,
      historyEvents: 10_000,
      replayLimit: 10_000,
      backlogBytes: 65_536,
      stallMs: 30_000
    }),
    quirks: fc.constant<Habits>({ pageCap, offsetBy: 'capped', shape: 'array', empty: 'array', ignore: [] }),
    past: fc.constant(50),
    steps: fc.array(
      fc.oneof<Array<fc.WeightedArbitrary<Step>>>(
        { weight: 6, arbitrary: anyPublish },
        {
          weight: 3,
          arbitrary: fc.record({
            kind: fc.constant('join' as const),
            transport: anyTransport,
            filter: anyFilter,
            agoMs: fc.integer({ min: 0, max: 20_000 })
          })
        },
        { weight: 4, arbitrary: fc.record({ kind: fc.constant('wait' as const), realMs: fc.nat({ max: 40 }) }) }
      ),
      { minLength: 30, maxLength: 40, size: 'max' }
    )
  })
}
