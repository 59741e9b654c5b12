import { spawn } from 'node:child_process'
import { createHash, randomInt } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { atSources } from './source-positions.ts'
import { addCounts, countsIn, failuresIn, type Counts } from './tap-output.ts'

/*
 * Runs the built test files and prints a line for each process as it ends. A file has a process of its own, except in
 * the quick suite: its files share a few. Before its first service answers, a process takes over 1 s of CPU time.
 *
 * tap's own runner puts three module loaders into every process. They cost two seconds of CPU a file, more than most
 * files need for their tests, and built files need none of them. Source maps would cost 0.1 to 0.4 s a process, so only
 * the positions of failures are looked up in them.
 */

const FOLDER = 'dist/test'
const FILE = /\.test\.js$/
const SLOW = /\.slow\.test\.js$/
const PROPERTIES = /^(?:properties|scan)\//
const PROPERTY_RUNS_FACTOR = '10'
const FILE_TIMEOUT_SECONDS = 300
const KILL_AFTER_MS = 10_000 // A file that hangs has this long to say where.
const NODE_OPTIONS = ['--disable-warning=ExperimentalWarning']
const SHARED_PROCESSES = 8

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
const queue = inOrder(await shared((await readdir(FOLDER, { recursive: true })).filter(isChosen)))
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

/** The files of each process. Each file runs alone in the slow suite, and where files were named or run repeatedly. */
async function shared (files: readonly string[]): Promise<string[][]> {
  if (values.slow || values.repeat !== '1' || parts.length > 0) return files.toSorted().map((file) => [file])
  const sized = await Promise.all(files.map(async (file) => ({ file, bytes: (await stat(`${FOLDER}/${file}`)).size })))
  const processes = Array.from({ length: SHARED_PROCESSES }, () => ({ files: [] as string[], bytes: 0 }))
  // The largest first, each to the process with the least to do.
  for (const { bytes, file } of sized.toSorted((a, b) => b.bytes - a.bytes || (a.file < b.file ? -1 : 1))) {
    const smallest = processes.reduce((least, each) => each.bytes < least.bytes ? each : least)
    smallest.bytes += bytes
    smallest.files.push(file)
  }
  return processes.map((process) => process.files)
}

/** In the order of their names; what runs more than once is shuffled, the same way for the same seed. */
function inOrder (sorted: string[][]): string[][] {
  if (values.repeat === '1') return sorted
  const runs = Array.from({ length: Number(values.repeat) }, () => sorted).flat()
  const key = (index: number) => createHash('sha256').update(`${values.seed} ${index}`).digest('hex')
  return runs.map((file, index) => ({ file, key: key(index) }))
    .sort((a, b) => a.key < b.key ? -1 : 1)
    .map(({ file }) => file)
}

async function work (): Promise<void> {
  for (let files = queue.shift(); files !== undefined; files = queue.shift()) results.push(await run(files))
}

async function run (files: readonly string[]): Promise<Result> {
  const startedFile = performance.now()
  // The first file is the program, and imports before it load the others: all of them add tests to the same root.
  const imports = files.slice(1).map((file) => `--import=./${FOLDER}/${file}`)
  const child = spawn(process.execPath, [...NODE_OPTIONS, ...imports, `${FOLDER}/${files[0]}`], {
    env: { ...values.slow && { PROPERTY_RUNS_FACTOR }, ...process.env, TAP_TIMEOUT: String(FILE_TIMEOUT_SECONDS) },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: FILE_TIMEOUT_SECONDS * 1000 + KILL_AFTER_MS,
    killSignal: 'SIGKILL'
  })
  const ended = new Promise<number | null>((resolve) => { child.once('close', resolve) })
  const [output, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  const counts = countsIn(output) ?? { passed: 0, failed: 1, skipped: 0 }
  const hasPassed = code === 0 && counts.failed === 0
  const seconds = ((performance.now() - startedFile) / 1000).toFixed(1)
  const errors = atSources(stderr)
  const name = files.map((file) => file.replace(/js$/, 'ts')).join(' ')
  console.log(`${hasPassed ? 'ok    ' : 'not ok'} ${name}  ${counts.passed} passed, ${seconds} s`)
  if (errors !== '') process.stderr.write(errors)
  if (hasPassed) return { counts, failures: [] }
  const failures = failuresIn(atSources(output))
  return {
    counts: { ...counts, failed: Math.max(1, counts.failed) },
    failures: [`${name} ended with ${code ?? 'a signal'}`, ...failures, ...failures.length === 0 ? [errors] : []]
  }
}

/** Repeats what failed and counts the assertions; tells whether all of them passed. */
function report (): boolean {
  const failures = results.flatMap((result) => result.failures)
  if (failures.length > 0) console.log(['', 'failures:', ...failures].join('\n\n'))
  const { failed, passed, skipped } = addCounts(results.map(({ counts }) => counts))
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  console.log(`${results.length} processes, ${seconds} s`)
  console.log(`tests: ${passed} passed, ${failed} failed, ${skipped} skipped`)
  return failed === 0 && passed > 0
}
