import { readFile, readdir } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import t from 'tap'
import { functionSizes } from './support/functions.ts'

const SRC = 'src'
// Static, dynamic and type imports, and what is passed on.
const IMPORT = /(?:\bfrom\s*|\bimport\s*\(\s*|^\s*import\s+)'([^']+)'/gm
const STATEMENT = /^(?:import|export)\s+(type\s)?/gm

interface Import {
  /** The file that it stands in, below src. */
  readonly from: string
  /** The file below src, or the package. */
  readonly target: string
  readonly isOurs: boolean
  readonly isType: boolean
}

const files = (await readdir(SRC, { recursive: true })).filter((name) => /\.tsx?$/.test(name)).sort()
const sources = new Map(
  await Promise.all(files.map(async (name) => [name, await readFile(join(SRC, name), 'utf8')] as const))
)
const imports = [...sources].flatMap(([from, source]) => importsOf(from, source))

function importsOf (from: string, source: string): Import[] {
  return [...source.matchAll(IMPORT)].map((match) => {
    const specifier = match[1] ?? ''
    const isDynamic = match[0].includes('(')
    const statement = [...source.slice(0, match.index + match[0].length).matchAll(STATEMENT)].at(-1)
    const isOurs = specifier.startsWith('.')
    return {
      from,
      target: isOurs ? relative(SRC, join(SRC, dirname(from), specifier)) : specifier,
      isOurs,
      isType: !isDynamic && statement?.[1] !== undefined
    }
  })
}

function room (name: string): string {
  return name.includes('/') ? name.split('/', 1)[0] ?? '' : name
}

function ours (name: string): Import[] {
  return imports.filter(({ from, isOurs }) => isOurs && room(from) === name)
}

function strangers (name: string, allowed: (each: Import) => boolean): string[] {
  return ours(name).filter((each) => room(each.target) !== name && !allowed(each)).map(({ from, target }) =>
    `${from} imports ${target}`
  )
}

/** The files of a folder, and all whose code they import, directly or through others. */
function reachable (folder: string): string[] {
  const reached = new Set(files.filter((name) => room(name) === folder))
  for (const name of reached) {
    // The loop visits these too.
    for (const { from, isOurs, isType, target } of imports) if (from === name && isOurs && !isType) reached.add(target)
  }
  return [...reached]
}

const PORTS = ['problems.ts', 'instruments.ts', 'tracer.ts']
// Pure, or impure only in `systemClock`, which main and app alone import.
const SHARED = ['clock.ts', 'token-bucket.ts']
const isPort = ({ isType, target }: Import) => SHARED.includes(target) || (isType && PORTS.includes(target))

t.test('the reader of imports sees them', async (t) => {
  t.same(
    importsOf(
      'live/x.ts',
      "import { a } from '../audit/a.ts'\nimport type { B } from './b.ts'\nimport {\n  c,\n  d\n} from " +
        "'node:fs'\nimport '../kubiya/e.ts'\nawait import('../f.ts')\nexport type { G } from '../problems.ts'\n"
    ),
    [
      { from: 'live/x.ts', target: 'audit/a.ts', isOurs: true, isType: false },
      { from: 'live/x.ts', target: 'live/b.ts', isOurs: true, isType: true },
      { from: 'live/x.ts', target: 'node:fs', isOurs: false, isType: false },
      { from: 'live/x.ts', target: 'kubiya/e.ts', isOurs: true, isType: false },
      { from: 'live/x.ts', target: 'f.ts', isOurs: true, isType: false },
      { from: 'live/x.ts', target: 'problems.ts', isOurs: true, isType: true }
    ]
  )
  t.ok(imports.length > 100, `${imports.length} imports`)
  t.ok(
    imports.every(({ isOurs, target }) => !isOurs || sources.has(target) || target.startsWith('..')),
    'what is imported is there'
  )
})

t.test('audit imports nothing of ours, and of others only TypeBox and node:crypto', async (t) => {
  t.same(strangers('audit', () => false), [])
  const packages = imports.filter(({ from, isOurs }) => !isOurs && room(from) === 'audit').map(({ target }) => target)
  t.same([...new Set(packages)].filter((name) => !name.startsWith('@sinclair/typebox') && name !== 'node:crypto'), [])
})

t.test('access imports ports alone, and of others only jose, lru-cache and what Node has', async (t) => {
  t.same(strangers('access', isPort), [])
  const packages = imports.filter(({ from, isOurs }) => !isOurs && room(from) === 'access').map(({ target }) => target)
  t.same([...new Set(packages)].filter((name) => !name.startsWith('node:')).sort(), ['jose', 'lru-cache'])
})

for (const [name, allowed] of Object.entries({
  scan: ['audit'],
  kubiya: ['audit'],
  relay: ['audit'],
  archive: ['audit', 'scan', 'aggregates'],
  aggregates: ['audit', 'scan'],
  export: ['audit', 'scan'],
  live: ['audit', 'scan', 'relay']
})) {
  t.test(`${name} imports ${allowed.join(', ')} and ports alone`, async (t) => {
    t.ok(ours(name).some(({ target }) => room(target) === 'audit'))
    t.same(strangers(name, (each) => allowed.includes(room(each.target)) || isPort(each)), [])
  })
}

t.test('inside live, data flows one way', async (t) => {
  const part = (name: string) => name.split('/')[1] ?? ''
  const flow: Record<string, string[]> = {
    log: [],
    ingest: [],
    transport: ['log'],
    replay: ['log', 'transport'],
    recent: ['ingest', 'log'],
    fanout: ['replay', 'transport', 'log']
  }
  const isHealth = ({ isType, target }: Import) => isType && target === 'live/ingest/upstream-health.ts'
  for (const [name, allowed] of Object.entries(flow)) {
    const inside = ours('live').filter(({ from, target }) =>
      part(from) === name && room(target) === 'live' && part(target) !== name
    )
    t.same(
      inside.filter((each) => !allowed.includes(part(each.target)) && !isHealth(each)).map(({ from, target }) =>
        `${from} imports ${target}`
      ),
      [],
      name
    )
  }
})

t.test('the client imports types of frames, events and problems only, and only the console imports it', async (t) => {
  const known = [
    'live/transport/frames.ts',
    'live/transport/close-codes.ts',
    'audit/event.ts',
    'audit/filter.ts',
    'problems.ts'
  ]
  t.same(strangers('client', ({ isType, target }) => isType && known.includes(target)), [])
  t.same(imports.filter(({ from, isOurs }) => !isOurs && room(from) === 'client'), [], 'no packages')
  const users = imports.filter(({ from, target }) => room(target) === 'client' && room(from) !== 'client')
  t.same(users.filter(({ from }) => room(from) !== 'console'), [], 'of ours')
})

t.test('the console imports types, the client, pure modules of audit and its three packages', async (t) => {
  t.same(strangers('console', ({ isType, target }) => isType || ['client', 'audit'].includes(room(target))), [])
  // esbuild bundles these for browsers.
  const bundled = reachable('console')
  t.ok(bundled.includes('console/main.tsx'))
  const packages = imports.filter(({ from, isOurs, isType }) => !isOurs && !isType && bundled.includes(from))
  const known = ['preact', 'preact/hooks', '@preact/signals', 'openapi-fetch']
  t.same(packages.filter(({ target }) => !known.includes(target)), [], 'nothing of Node')
  t.same(imports.filter(({ from, target }) => room(target) === 'console' && room(from) !== 'console'), [])
})

t.test('the sandbox imports nothing of ours, and is imported by app alone', async (t) => {
  t.same(strangers('sandbox', () => false), [])
  t.same([
    ...new Set(
      imports.filter(({ from, target }) => room(target) === 'sandbox' && room(from) !== 'sandbox').map(({ from }) =>
        from
      )
    )
  ], ['app.ts'])
})

t.test('http is imported by app alone, and imports neither the upstream nor the sandbox', async (t) => {
  t.same([
    ...new Set(
      imports.filter(({ from, target }) => room(target) === 'http' && room(from) !== 'http').map(({ from }) =>
        from
      )
    )
  ], ['app.ts'])
  t.same(ours('http').filter(({ target }) => ['kubiya', 'sandbox', 'relay', 'scan'].includes(room(target))), [])
})

t.test('main imports app, clock, settings and telemetry', async (t) => {
  t.same([...new Set(ours('main.ts').map(({ target }) => target))].sort(), [
    'app.ts',
    'clock.ts',
    'settings.ts',
    'settings/read-settings.ts',
    'telemetry/logger.ts',
    'telemetry/opentelemetry.ts'
  ])
})

t.test('only main reads the environment', async (t) => {
  t.same([...sources].filter(([, source]) => source.includes('process.env')).map(([name]) => name), ['main.ts'])
})

t.test('only kubiya knows undici', async (t) => {
  t.same([...new Set(imports.filter(({ target }) => target === 'undici').map(({ from }) => room(from)))], ['kubiya'])
})

t.test('only telemetry knows prom-client and OpenTelemetry, which is loaded when it is wanted', async (t) => {
  const users = (
    name: string
  ) => [...new Set(imports.filter(({ target }) => target.startsWith(name)).map(({ from }) => room(from)))]
  t.same(users('prom-client'), ['telemetry'])
  t.same(users('@opentelemetry/'), ['telemetry'])
  t.same(
    imports.filter(({ isType, target }) => target === 'telemetry/opentelemetry.ts' && !isType).map(({ from }) => from),
    ['main.ts']
  )
  t.match(sources.get('main.ts'), /await import\('\.\/telemetry\/opentelemetry\.ts'\)/)
})

t.test("README's layout names the folders of src, its root files and the folders of the repository", async (t) => {
  const [, layout = ''] = /## Layout\n\n```\n([^]*?)```/.exec(await readFile('README.md', 'utf8')) ?? []
  const named = pathsOf(layout)
  const isInSrc = (path: string) => path.startsWith(`${SRC}/`)
  const folders = (await readdir(SRC, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isDirectory())
    .map(({ name, parentPath }) => `${parentPath}/${name}/`)
  t.same(named.filter((path) => isInSrc(path) && path.endsWith('/') && path !== 'src/').sort(), folders.sort())
  t.same(named.filter((path) => /^src\/[^/]+\.ts$/.test(path)).sort(), rootFiles().map((name) => `src/${name}`).sort())
  t.same(named.filter((path) => isInSrc(path) && path.endsWith('.ts') && !sources.has(relative(SRC, path))), [])
  const ignored = (await readFile('.gitignore', 'utf8')).split('\n')
  const top = (await readdir('.', { withFileTypes: true }))
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => `${name}/`)
    .filter((name) => !ignored.includes(name))
  t.same(named.filter((path) => /^[^/]+\/$/.test(path)).sort(), top.sort())
})

t.test('the reader of the layout joins names by their indentation', async (t) => {
  t.same(pathsOf('src/\n  a.ts b.ts   two files\n  c/    x; d/ holds e\n    f/  g.ts does it\n  h/  i\nj/ k/\n'), [
    'src/', 'src/a.ts', 'src/b.ts', 'src/c/', 'src/c/d/', 'src/c/f/', 'src/c/f/g.ts', 'src/h/', 'j/', 'k/'
  ])
})

function rootFiles (): string[] {
  return files.filter((name) => !name.includes('/'))
}

/** The paths that a layout names: those before a line's phrase, and those in the phrase, which are below the first. */
function pathsOf (layout: string): string[] {
  const parents: Array<{ readonly indent: number, readonly path: string }> = []
  return layout.split('\n').flatMap((line) => {
    const [, indent = '', names = '', phrase = ''] = /^( *)(\S+(?: \S+)*)(.*)$/.exec(line) ?? []
    while ((parents.at(-1)?.indent ?? -1) >= indent.length) parents.pop()
    const above = parents.at(-1)?.path ?? ''
    const paths = names.split(' ').filter((name) => name !== '').map((name) => `${above}${name}`)
    const [first = ''] = paths
    if (first.endsWith('/')) parents.push({ indent: indent.length, path: first })
    return [...paths, ...[...phrase.matchAll(/[\w-]+(?:\/|\.ts\b)/g)].map(([name]) => `${first}${name}`)]
  })
}

t.test('nothing is of any type, or said to be there without a look', async (t) => {
  const code = (source: string) => source.replace(/\/\*[^]*?\*\/|\/\/.*$|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/gm, '')
  const isAny = (source: string) => /(?:[:<|&,(]\s*|\bas\s+)any\b(?!\s*[:(])|\bany\[\]/.test(code(source))
  for (const bad of ['let a: any', 'f<any>()', 'a as any', 'b: any[]', 'Record<string, any>']) t.ok(isAny(bad), bad)
  for (const good of ['// any: all', "'as any'", 'AbortSignal.any([])']) t.notOk(isAny(good), good)
  t.same([...sources].filter(([, source]) => isAny(source)).map(([name]) => name), [])
  t.same(
    [...sources].filter(([, source]) => /@ts-(?:ignore|nocheck|expect-error)/.test(source)).map(([name]) => name),
    []
  )
})

// Files that still take the time of the machine themselves. Nothing may be added.
const UNCLOCKED: string[] = ['audit/time-slice.ts']
const GLOBAL_TIME = /\b(?:Date\.now|performance\.now|hrtime|setTimeout|setInterval|node:timers)\b|new Date\(\)/

t.test('clock.ts alone takes the time of the machine: others are given a Clock', async (t) => {
  // The client and the sandbox import nothing of ours. The console runs in a browser.
  const users = [...sources].filter(([name, source]) =>
    GLOBAL_TIME.test(source.replace(/\/\*[^]*?\*\/|\/\/.*$/gm, '')) &&
    !['clock.ts', 'main.ts', 'client', 'console', 'sandbox'].includes(room(name))
  ).map(([name]) => name)
  t.same(users.filter((name) => !UNCLOCKED.includes(name)), [])
  t.same(UNCLOCKED.filter((name) => !users.includes(name)), [], 'the list names no file that is mended')
})

// Where parts are put together, and nothing is decided.
const WIRING: string[] = []

t.test('the measure of functions counts own lines, all lines and branches', async (t) => {
  const source =
    'function outer () {\n  const inner = () => {\n    return 1\n  }\n  return inner() ? a && b : c ?? d\n}\n'
  t.same(functionSizes('x.ts', source), [
    { name: 'outer', line: 1, ownLines: 3, totalLines: 6, branches: 4 },
    { name: 'inner', line: 2, ownLines: 3, totalLines: 3, branches: 1 }
  ])
})

t.test('the caps on functions find a function that exceeds one of them', async (t) => {
  const lines = '  x()\n'
  t.same(longFunctions('x.ts', `function long () {\n${lines.repeat(59)}}\n`), ['x.ts long'])
  t.same(longFunctions('x.ts', `function short () {\n${lines.repeat(58)}}\n`), [])
  const inner = `const inner = () => {\n${lines.repeat(50)}}\n`
  t.same(longFunctions('x.ts', `function whole () {\n${inner.repeat(3)}}\n`), ['x.ts whole'])
  t.same(longFunctions('x.ts', `function forked () {\n  return ${'a || '.repeat(12)}b\n}\n`), ['x.ts forked'])
})

t.test('no function is long: 60 lines of its own, 150 in all, 12 branches', async (t) => {
  const long = [...sources].flatMap(([file, source]) => longFunctions(file, source))
  t.same(long.filter((each) => !WIRING.includes(each)), [])
  t.same(WIRING.filter((each) => !long.includes(each)), [], 'each excuse is needed')
  for (const folder of ['test', 'bench', 'tools']) {
    const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.ts'))
    t.ok(names.length > 0, `${folder} has sources`)
    for (const name of names) {
      const path = join(folder, name)
      t.same(longFunctions(path, await readFile(path, 'utf8')), [], path)
    }
  }
})

function longFunctions (file: string, source: string): string[] {
  const long = functionSizes(file, source)
    .filter(({ ownLines, totalLines, branches }) => ownLines > 60 || totalLines > 150 || branches > 12)
  return [...new Set(long.map(({ name }) => `${file} ${name}`))]
}

t.test('no file imports itself through others', async (t) => {
  t.same(circles(imports.filter(({ isOurs }) => isOurs)), [])
  t.same(circles([{ from: 'a', target: 'b' }, { from: 'b', target: 'c' }, { from: 'c', target: 'a' }]), [
    'a → b → c → a'
  ])
})

/** Each circle once, from where it was met first. */
function circles (arrows: ReadonlyArray<{ readonly from: string, readonly target: string }>): string[] {
  const found: string[] = []
  const done = new Set<string>()
  for (const { from } of arrows) visit(from, [])
  return found

  function visit (file: string, path: readonly string[]): void {
    const start = path.indexOf(file)
    if (start >= 0) found.push([...path.slice(start), file].join(' → '))
    if (start >= 0 || done.has(file)) return
    for (const { from, target } of arrows) if (from === file) visit(target, [...path, file])
    done.add(file)
  }
}
