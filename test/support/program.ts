/**
 * Options of a test that needs a program which is no npm package. Where the program is missing the test is skipped,
 * with a line on standard error that nobody overlooks. In CI nothing is skipped: the file fails.
 */
export function needs (program: string, isInstalled: boolean): { skip: string | false } {
  if (isInstalled) return { skip: false }
  if (process.env.CI === 'true') throw new Error(`${program} is not installed; CI must not skip tests`)
  process.stderr.write(`\n!!! ${program.toUpperCase()} IS NOT INSTALLED: tests that need it are skipped.\n\n`)
  return { skip: `${program} is not installed` }
}
