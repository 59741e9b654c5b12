import fc from 'fast-check'
import type { Test } from 'tap'

/** `npm run test:slow` repeats properties ten times as often as `npm test`. */
const FACTOR = Number(process.env.PROPERTY_RUNS_FACTOR ?? 1)

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
