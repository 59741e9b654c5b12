import fc from 'fast-check'

interface Assertions {
  pass (message?: string): boolean
  fail (message?: string): boolean
}

/** One assertion for a property: that no counterexample was found. */
export function holds<T> (t: Assertions, property: fc.IProperty<T>, options: fc.Parameters<T> = {}): void {
  report(t, fc.check(property, options) as fc.RunDetails<unknown>)
}

export async function holdsAsync<T> (t: Assertions, property: fc.IAsyncProperty<T>, options: fc.Parameters<T> = {}): Promise<void> {
  report(t, await fc.check(property, options) as fc.RunDetails<unknown>)
}

function report (t: Assertions, details: fc.RunDetails<unknown>): void {
  if (details.failed) t.fail(fc.defaultReportMessage(details) ?? 'the property does not hold')
  else t.pass(`held ${details.numRuns} times`)
}
