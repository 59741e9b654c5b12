/** What one test file printed, by the standard of TAP 14. */
export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

const NO_COUNTS: Counts = { passed: 0, failed: 0, skipped: 0 }
const PACKAGE_FRAME = /^\s*$|dist\/test\/shared\/chunk-|^\s*\(node_modules\//
const RESULT = /^( *)(not )?ok \d+(?: - )?(.*)$/

/**
 * The counts that tap prints as its last comment: `# { total: 12, pass: 11, fail: 1 }`. Without them the file crashed.
 */
export function countsIn (output: string): Counts | undefined {
  const comment = output.split('\n').findLast((line) => line.startsWith('# { total: '))
  if (comment === undefined) return undefined
  const count = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(comment)?.[1] ?? 0)
  return { passed: count('pass'), failed: count('fail'), skipped: count('skip') + count('todo') }
}

export function addCounts (counts: readonly Counts[]): Counts {
  return counts.reduce((sum, each) => ({
    passed: sum.passed + each.passed,
    failed: sum.failed + each.failed,
    skipped: sum.skipped + each.skipped
  }), NO_COUNTS)
}

/**
 * Every assertion that failed, with the names of the tests around it and its diagnostics. A test that failed only
 * because an assertion inside it did is left out.
 */
export function failuresIn (output: string): string[] {
  const failures: string[] = []
  const names: string[] = [] // The open subtests, by depth.
  const reported = new Set<number>() // Depths at which an assertion further in was reported.
  const lines = output.split('\n')
  lines.forEach((line, index) => {
    const subtest = /^( *)# Subtest: (.*)$/.exec(line)
    if (subtest !== null) {
      const depth = depthOf(subtest[1])
      names[depth] = subtest[2] ?? ''
      reported.delete(depth)
    }
    const result = RESULT.exec(line)
    if (result === null) return
    const [, indent, not, title = ''] = result
    const depth = depthOf(indent)
    const name = names[depth]
    const endsSubtest = name !== undefined && title.startsWith(name)
    if (not !== undefined && !/ # (?:TODO|SKIP)/.test(title) && !(endsSubtest && reported.has(depth))) {
      const around = names.slice(0, depth).join(' > ')
      failures.push([around, line, ...diagnosticsAfter(lines, index)].filter((each) => each !== '').join('\n'))
      for (let above = 0; above < depth; above++) reported.add(above)
    }
    if (endsSubtest) names.length = depth
  })
  return failures
}

/** The YAML block that follows a result, without the frames of tap itself and the blank lines between frames. */
function diagnosticsAfter (lines: readonly string[], index: number): string[] {
  if (lines[index + 1]?.trim() !== '---') return []
  const end = lines.findIndex((line, at) => at > index && line.trim() === '...')
  return lines.slice(index + 1, end === -1 ? undefined : end + 1).filter((line) => !PACKAGE_FRAME.test(line))
}

function depthOf (indent = ''): number {
  return Math.floor(indent.length / 4)
}
