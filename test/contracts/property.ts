import fc from 'fast-check'
import type { Test } from 'tap'

/** `npm run test:slow` repeats properties ten times as often as `npm test`. */
const FACTOR = Number(process.env.PROPERTY_RUNS_FACTOR ?? 1)

/**
 * Any code point but a lone surrogate, for `fc.string({ unit: anyCharacter })`. fast-check's own `unit: 'binary'` gives
 * the same, but first builds a table of all code points: 1.5 s of CPU time in each process.
 */
export const anyCharacter: fc.Arbitrary<string> = fc.integer({ min: 0, max: 0x10FFFF - 0x800 })
  .map((number) => String.fromCodePoint(number < 0xD800 ? number : number + 0x800))

/** How often a property of `test/properties` is tried. */
export function runs (inQuickSuite: number): number {
  return inQuickSuite * FACTOR
}

/** One assertion for a property: that no counterexample was found. */
export function holds<T> (t: Test, property: fc.IProperty<T>, options: fc.Parameters<T> = {}): void {
  report(t, fc.check(property, options) as fc.RunDetails<unknown>)
}

export async function holdsAsync<T> (
  t: Test,
  property: fc.IAsyncProperty<T>,
  options: fc.Parameters<T> = {}
): Promise<void> {
  report(t, await fc.check(property, options) as fc.RunDetails<unknown>)
}

function report (t: Test, details: fc.RunDetails<unknown>): void {
  if (details.failed) t.fail(`${String(details.errorInstance ?? '')} ${fc.defaultReportMessage(details) ?? ''}`)
  else t.pass(`held ${details.numRuns} times`)
}
