import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import ts from 'typescript'
import { item, startService, startUpstream } from '../support/support.ts'
import { layWire } from './wire.ts'

const CLIENT = 'dist/client.js'
const NAME: string = 'kubiya-audit-bff/client' // Text alone: types are checked before anything is built.
const MOST_GZIPPED_BYTES = 4096
const EXPORTS = ['isAuditStreamError', 'openAuditFrames', 'openAuditStream']

t.test('the client module is one small file without imports', async (t) => {
  const source = await readFile(CLIENT)
  t.notMatch(String(source), /\bimport\b|\brequire\b|\bprocess\b|\bBuffer\b/)
  const { length } = gzipSync(source)
  t.ok(length < MOST_GZIPPED_BYTES, `${length} bytes gzipped`)
  t.same(Object.keys(await import(NAME)).sort(), EXPORTS)
})

t.test("the client module works with Node's WebSocket, as in its example", async (t) => {
  const sandbox = await startUpstream(t)
  const service = await startService(t, {}, {}, sandbox)
  const wire = await layWire(t, service.url)
  const flags = 'WebSocket' in globalThis ? [] : ['--experimental-websocket']
  const file = `${t.testdir()}/cursor`
  const first = example(t, flags, wire.url, file)
  sandbox.publish(item({ id: 'one' }))
  await first.printed(' one\n')
  wire.cut()
  sandbox.publish(item({ id: 'two' }))
  t.match(
    await first.printed(' two\n'),
    /connected, resumed: false\n[^]* one\nno connection \(closed\)[^]*connected, resumed: true\n/
  )
  sandbox.publish(item({ id: 'three' }))
  await first.printed(' three\n') // Now the cursor behind the second is in the file.
  await first.ended()
  sandbox.publish(item({ id: 'four' }))
  const second = example(t, flags, wire.url, file)
  t.match(await second.printed(' four\n'), /^connected, resumed: true\n(?:\S+ three\n)?\S+ four\n$/)
  await second.ended()
})

t.test('the client module is packed with its declarations, and with the service', async (t) => {
  const child = spawn('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    stdio: ['ignore', 'pipe', 'ignore']
  })
  let output = ''
  child.stdout.on('data', (chunk) => { output += String(chunk) })
  await once(child, 'close')
  const [{ files }] = JSON.parse(output) as [{ files: Array<{ path: string }> }]
  const paths = files.map(({ path }) => path)
  for (
    const path of [
      'dist/client.js',
      'dist/client.d.ts',
      'dist/main.js',
      'openapi/openapi.json',
      'README.md',
      'LICENSE',
      'package.json'
    ]
  ) t.ok(paths.includes(path), path)
  t.same(paths.filter((path) => /^(?:src|test|node_modules|dist\/test)\//.test(path)), [])
})

t.test('the client module is typed from the schemas, in strict projects of all kinds', async (t) => {
  const file = `${t.testdir({
    'consumer.ts': `
      import { isAuditStreamError, openAuditFrames, openAuditStream, type AuditFilter, type AuditFrame, type AuditStream, type Frame, type Problem, type PublishedEvent, type WebSocketConstructor } from 'kubiya-audit-bff/client'
      const filter: AuditFilter = { status: 'failed' }
      // @ts-expect-error: no such filter
      const wrong: AuditFilter = { stat: 'failed' }
      export async function follow (socket: WebSocketConstructor): Promise<string> {
        const stream = openAuditStream({ url: new URL('http://localhost'), filter, signal: new AbortController().signal, since: undefined, WebSocket: socket, onGap: ({ from, to }) => [from, to] })
        try {
          for await (const event of stream) return event.id + String(event.anything) + String(stream.cursor)
        } catch (error) {
          if (isAuditStreamError(error)) return error.code + String(error.problem?.errors?.[0]?.parameter)
        }
        // @ts-expect-error: no such option
        openAuditStream({ url: '', filters: {} })
        const frames: AuditStream<AuditFrame> = openAuditFrames({ url: '', onExpiring: ({ at }) => at })
        for await (const frame of frames) if (frame.type === 'event') return frame.event.id + String(frame.late)
          else return frame.reason
        const events: AuditStream = openAuditStream({ url: '' })
        // @ts-expect-error: gaps are among the frames
        openAuditFrames({ url: '', onGap: String })
        return String(wrong) + String(events.cursor)
      }
      export type Seen = [PublishedEvent, Frame, Problem]
    `,
    'page.ts': "import { follow } from './consumer.js'\nfollow(WebSocket)\n",
    'node.ts': "import { WebSocket } from 'ws'\nimport { follow } from './consumer.js'\nfollow(WebSocket)\n",
    'same.ts': `
      import type { AuditFilter, Frame, Problem, PublishedEvent } from 'kubiya-audit-bff/client'
      import type { AuditFilter as OurFilter } from '../../../src/audit/filter.js'
      import type { PublishedEvent as OurEvent } from '../../../src/audit/event.js'
      import type { Frame as OurFrame } from '../../../src/live/transport/frames.js'
      import type { Problem as OurProblem } from '../../../src/problems.js'
      export const there = (a: OurFilter, b: OurEvent, c: OurFrame, d: OurProblem): [AuditFilter, PublishedEvent, Frame, Problem] => [a, b as OurEvent & Record<string, unknown>, c as Frame, d]
      export const back = (a: AuditFilter, b: PublishedEvent, c: Frame, d: Problem): [OurFilter, OurEvent, OurFrame, OurProblem] => [a, b, c, d]
    `
    })
  }`
  const strict = {
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: false,
    target: ts.ScriptTarget.ES2022,
    types: []
  }
  const node = {
    ...strict,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ['lib.es2022.d.ts'],
    types: ['node']
  }
  const page = {
    ...strict,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ['lib.es2022.d.ts', 'lib.dom.d.ts', 'lib.dom.asynciterable.d.ts']
  }
  t.same(faults([`${file}/page.ts`], page), [], 'in a page, by a bundler')
  t.same(faults([`${file}/node.ts`], node), [], 'in Node')
  t.same(
    faults([`${file}/same.ts`], { ...node, lib: ['lib.es2023.d.ts'], allowImportingTsExtensions: true }),
    [],
    'the same as in here'
  )
})

t.test('the client package is typed for each way of module resolution', async (t) => {
  // Outside: npm would install into a folder above.
  const folder = await mkdtemp(join(tmpdir(), 'kubiya-audit-client-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const [{ filename, files }] = JSON.parse(
    await npm(folder, 'pack', `${process.cwd()}/dist/client`, '--json', '--ignore-scripts')
  ) as [{ filename: string, files: Array<{ path: string }> }]
  t.same(files.map(({ path }) => path).sort(), [
    'LICENSE',
    'README.md',
    'client.d.ts',
    'client.js',
    'client.js.map',
    'package.json'
  ])
  await writeFile(join(folder, 'package.json'), '{ "private": true }')
  await npm(folder, 'install', `./${filename}`, '--offline', '--no-audit', '--no-fund')
  const packages = join(folder, 'node_modules')
  t.same((await readdir(packages)).filter((name) => !name.startsWith('.')), ['kubiya-audit-client'])

  const read = async (path: string) => JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
  const [client, service] = [await read(join(packages, 'kubiya-audit-client/package.json')), await read('package.json')]
  t.same([client.version, client.license, client.dependencies, client.engines], [
    service.version,
    service.license,
    undefined,
    undefined
  ])
  t.same(
    await readFile(join(packages, 'kubiya-audit-client/client.js')),
    await readFile(CLIENT),
    'the same file as the service exports'
  )
  const entry = pathToFileURL(join(packages, 'kubiya-audit-client', String(client.main)))
  t.same(Object.keys(await import(entry.href)).sort(), EXPORTS)

  const ours = join(packages, 'kubiya-audit-bff')
  await mkdir(join(ours, 'dist'), { recursive: true })
  for (const file of ['package.json', CLIENT, 'dist/client.d.ts']) await cp(file, join(ours, file))
  const names = ['kubiya-audit-client', 'kubiya-audit-bff/client']
  const consumers = await Promise.all(names.map(async (name, index) => {
    const file = join(folder, `consumer${index}.mts`)
    await writeFile(file, `
      import { openAuditStream, type PublishedEvent } from '${name}'
      export const first = async (): Promise<PublishedEvent | undefined> => (await openAuditStream({ url: '/' }).next()).value
      // @ts-expect-error: no such option
      openAuditStream({ url: '/', filters: {} })
    `)
    return file
  }))
  const strict = {
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    target: ts.ScriptTarget.ES2022,
    types: [],
    lib: ['lib.es2022.d.ts', 'lib.dom.d.ts', 'lib.dom.asynciterable.d.ts']
  }
  const ways = {
    node10: { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Node10 },
    node16: { module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 },
    nodenext: { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext },
    bundler: { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler }
  }
  for (const [way, options] of Object.entries(ways)) t.same(faults(consumers, { ...strict, ...options }), [], way)
})

async function npm (folder: string, ...words: string[]): Promise<string> {
  const child = spawn('npm', words, { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] })
  let output = ''
  child.stdout.on('data', (chunk) => { output += String(chunk) })
  await once(child, 'close')
  return output
}

interface Run {
  /** Resolves with all that was printed once a text has appeared in it. */
  printed (text: string): Promise<string>
  ended (): Promise<void>
}

function example (owner: { teardown (action: () => unknown): void }, flags: string[], ...parameters: string[]): Run {
  const child = spawn(process.execPath, [...flags, 'examples/each-event-once.mjs', ...parameters], {
    stdio: ['ignore', 'pipe', 'ignore']
  })
  owner.teardown(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { output += text })
  const closed = once(child, 'close')
  return {
    async printed (text) {
      while (!output.includes(text)) {
        if (child.exitCode !== null) throw new Error(`it ended before it printed ${text}`)
        await Promise.race([once(child.stdout, 'data'), closed])
      }
      return output
    },
    async ended () {
      child.kill('SIGTERM')
      await closed
    }
  }
}

/** What the compiler says about these files and what they import, packages aside. */
function faults (files: string[], options: ts.CompilerOptions): string[] {
  const program = ts.createProgram(files, options, hostFor(options))
  const ours = program.getSourceFiles().filter(({ fileName }) => !fileName.includes('/node_modules/'))
  const found = [
    ...program.getOptionsDiagnostics(),
    ...program.getGlobalDiagnostics(),
    ...ours.flatMap((file) => ts.getPreEmitDiagnostics(program, file))
  ]
  return found.map(({ file, messageText }) =>
    `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
  )
}

const parsed = new Map<string, ts.SourceFile>()

/** Parses what is declared for all once: the language and the platforms are most of it. */
function hostFor (options: ts.CompilerOptions): ts.CompilerHost {
  const host = ts.createCompilerHost(options)
  const { getSourceFile } = host
  host.getSourceFile = (name, language, ...rest) => {
    const isLibrary = /\/node_modules\/(?:typescript\/lib|@types)\//.test(name)
    const key = JSON.stringify([name, language])
    const file = parsed.get(key) ?? getSourceFile(name, language, ...rest)
    if (isLibrary && file !== undefined) parsed.set(key, file)
    return file
  }
  return host
}
