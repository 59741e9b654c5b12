import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { eventually } from '../support/support.ts'

// `npm start` where only what production needs was installed.

interface Owner { teardown (action: () => unknown): void }

const MANIFESTS = ['package.json', 'build.mjs', 'LICENSE']
const BUILT = ['main.js', 'main.js.map', 'packages', 'console', 'docs', 'LICENSES.txt']

/** A checkout without development packages, outside of this one: nothing is found in a folder above. */
async function checkOut (t: Owner, parts = BUILT): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kubiya-audit-start-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  for (const file of MANIFESTS) await cp(file, join(folder, file))
  await cp('src', join(folder, 'src'), { recursive: true })
  for (const part of parts) await cp(join('dist', part), join(folder, 'dist', part), { recursive: true })
  return folder
}

interface Run {
  printed (): string
  readonly exited: Promise<number | null>
}

function npm (t: Owner, folder: string, ...words: string[]): Run {
  const { NODE_ENV, NODE_OPTIONS, ...env } = process.env
  const child = spawn('npm', words, {
    cwd: folder,
    env: { ...env, PORT: '0', NO_UPDATE_NOTIFIER: '1' },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { output += String(chunk) })
  const exited = new Promise<number | null>((resolve) => child.on('close', resolve))
  t.teardown(async () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL') // npm's own child, too.
    await exited
  })
  return { printed: () => output, exited }
}

/** What was said by our own code: npm names the commands that it runs and their failures. */
function words ({ printed }: Run): string[] {
  return printed().split('\n').filter((line) => line !== '' && !/^(?:> |npm )/.test(line))
}

t.test('a complete dist starts', async (t) => {
  const run = npm(t, await checkOut(t), 'start')
  await eventually('it listens', () => /http:\/\/127\.0\.0\.1:\d+/.test(run.printed()))
  t.match(words(run)[0], /esbuild does not run here: dist\/ is used as it is/)
})

t.test('an incomplete dist says in one line what to run', async (t) => {
  const chunk = (await readdir('dist/packages')).find((name) => name.startsWith('opentelemetry-')) ?? ''
  const lacks: Record<string, string[]> = {
    'no dist': [],
    'no main': BUILT.filter((part) => part !== 'main.js'),
    'no docs page': BUILT.filter((part) => part !== 'docs'),
    'no console': BUILT.filter((part) => part !== 'console'),
    'no packages': BUILT.filter((part) => part !== 'packages')
  }
  for (const [what, parts] of Object.entries(lacks)) {
    const run = npm(t, await checkOut(t, parts), 'start')
    t.equal(await run.exited, 1, what)
    t.equal(words(run).length, 1, run.printed())
    t.match(
      words(run)[0],
      /dist\/ is not complete \(dist\/\S+ is missing\).* Run `npm ci --include=dev && npm run build`\./
    )
  }
  const folder = await checkOut(t)
  await rm(join(folder, 'dist/packages', chunk))
  const run = npm(t, folder, 'start')
  t.equal(await run.exited, 1, 'a file that is loaded later')
  t.match(words(run), [new RegExp(`dist/packages/${chunk} is missing`)])
})

t.test('a build without packages says in one line what to install', async (t) => {
  const folder = await checkOut(t)
  const run = npm(t, folder, 'run', 'build')
  t.equal(await run.exited, 1)
  t.match(words(run), [/^esbuild does not run here, so nothing can be built\. Run `npm ci --include=dev` first\.$/])
})

t.test('an esbuild of another platform counts as missing', async (t) => {
  const folder = await checkOut(t)
  const other = join(folder, 'node_modules/esbuild')
  await mkdir(other, { recursive: true })
  await writeFile(join(other, 'package.json'), '{ "name": "esbuild", "version": "0.0.0", "main": "main.js" }')
  await writeFile(
    join(other, 'main.js'),
    'exports.transform = () => { throw new Error("You installed esbuild for another platform") }\n'
  )
  const run = npm(t, folder, 'start')
  await eventually('it listens', () => /http:\/\/127\.0\.0\.1:\d+/.test(run.printed()))
  t.notMatch(run.printed(), /another platform/)
})
