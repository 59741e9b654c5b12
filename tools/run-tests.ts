import { spawn } from 'node:child_process'
import { createHash, randomInt } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { addCounts, countsIn, failuresIn, type Counts } from './tap-output.ts'

/*
 * Runs the built test files, each in a process of its own, and prints a line for each as it ends.
 *
 * tap's own runner puts three module loaders into every process. They cost two seconds of CPU a file, more than most
 * files need for their tests, and built files need none of them.
 */

const FOLDER = 'dist/test'
const FILE = /\.test\.js$/
const SLOW = /\.slow\.test\.js$/
const PROPERTIES = /^properties\//
const PROPERTY_RUNS_FACTOR = '10'
const FILE_TIMEOUT_SECONDS = 300
const KILL_AFTER_MS = 10_000 // A file that hangs has this long to say where.
const NODE_OPTIONS = ['--enable-source-maps', '--disable-warning=ExperimentalWarning']

interface Result {
  readonly counts: Counts
  /** Empty where the file passed. */
  readonly failures: readonly string[]
}

const { positionals: parts, values } = parseArgs({
  allowPositionals: true,
  options: {
    slow: { type: 'boolean', default: false },
    jobs: { type: 'string', default: String(availableParallelism() + 1) },
    repeat: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) }
  }
})
const started = performance.now()
const queue = inOrder((await readdir(FOLDER, { recursive: true })).filter(isChosen))
const results: Result[] = []
if (values.repeat !== '1') console.log(`each file ${values.repeat} times, in the order of --seed ${values.seed}`)
await Promise.all(Array.from({ length: Number(values.jobs) }, work))
process.exitCode = report() ? 0 : 1

/**
 * Parts of paths choose among all files. Without any, the quick suite is all files but the slow ones; the slow suite is
 * the slow files, and all properties at length.
 */
function isChosen (file: string): boolean {
  if (!FILE.test(file)) return false
  if (parts.length > 0) return parts.some((part) => file.includes(part))
  return values.slow ? SLOW.test(file) || PROPERTIES.test(file) : !SLOW.test(file)
}

/** Sorted by name; files that run more than once are shuffled, the same way for the same seed. */
function inOrder (files: readonly string[]): string[] {
  const sorted = files.toSorted()
  if (values.repeat === '1') return sorted
  const runs = Array.from({ length: Number(values.repeat) }, () => sorted).flat()
  const key = (index: number) => createHash('sha256').update(`${values.seed} ${index}`).digest('hex')
  return runs.map((file, index) => ({ file, key: key(index) }))
    .sort((a, b) => a.key < b.key ? -1 : 1)
    .map(({ file }) => file)
}

async function work (): Promise<void> {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) results.push(await run(file))
}

async function run (file: string): Promise<Result> {
  const startedFile = performance.now()
  const child = spawn(process.execPath, [...NODE_OPTIONS, `${FOLDER}/${file}`], {
    env: { ...values.slow && { PROPERTY_RUNS_FACTOR }, ...process.env, TAP_TIMEOUT: String(FILE_TIMEOUT_SECONDS) },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: FILE_TIMEOUT_SECONDS * 1000 + KILL_AFTER_MS,
    killSignal: 'SIGKILL'
  })
  const ended = new Promise<number | null>((resolve) => { child.once('close', resolve) })
  const [output, errors, code] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  const counts = countsIn(output) ?? { passed: 0, failed: 1, skipped: 0 }
  const hasPassed = code === 0 && counts.failed === 0
  const seconds = ((performance.now() - startedFile) / 1000).toFixed(1)
  const name = file.replace(/js$/, 'ts')
  console.log(`${hasPassed ? 'ok    ' : 'not ok'} ${name}  ${counts.passed} passed, ${seconds} s`)
  if (errors !== '') process.stderr.write(errors)
  if (hasPassed) return { counts, failures: [] }
  const failures = failuresIn(output)
  return {
    counts: { ...counts, failed: Math.max(1, counts.failed) },
    failures: [`test/${name} ended with ${code ?? 'a signal'}`, ...failures, ...failures.length === 0 ? [errors] : []]
  }
}

/** Repeats what failed and counts the assertions; tells whether all of them passed. */
function report (): boolean {
  const failures = results.flatMap((result) => result.failures)
  if (failures.length > 0) console.log(['', 'failures:', ...failures].join('\n\n'))
  const { failed, passed, skipped } = addCounts(results.map(({ counts }) => counts))
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  console.log(`${results.length} files, ${seconds} s`)
  console.log(`tests: ${passed} passed, ${failed} failed, ${skipped} skipped`)
  return failed === 0 && passed > 0
}
