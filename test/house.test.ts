import { readFile, readdir } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import t from 'tap'

const SRC = 'src'
const MOST_LINES = 350
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

const files = (await readdir(SRC, { recursive: true })).filter((name) => name.endsWith('.ts')).sort()
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

const PORTS = ['problems.ts', 'instruments.ts', 'tracer.ts', 'clock.ts']
const isPort = ({ isType, target }: Import) => target === 'clock.ts' || (isType && PORTS.includes(target))

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
  archive: ['audit', 'scan'],
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

t.test('the client imports types of frames, of what is in them and of problems, nothing else, and is imported by nobody', async (t) => {
  const known = ['live/transport/frames.ts', 'audit/event.ts', 'audit/filter.ts', 'problems.ts']
  t.same(strangers('client', ({ isType, target }) => isType && known.includes(target)), [])
  t.same(imports.filter(({ from, isOurs }) => !isOurs && room(from) === 'client'), [], 'no packages')
  t.same(imports.filter(({ from, target }) => room(target) === 'client' && room(from) !== 'client'), [])
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

t.test('main imports app, settings and telemetry', async (t) => {
  t.same([...new Set(ours('main.ts').map(({ target }) => target))].sort(), [
    'app.ts',
    'settings.ts',
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

t.test('no file is long', async (t) => {
  const long = [...sources].filter(([name, source]) =>
    room(name) !== 'sandbox' && source.split('\n').length - 1 > MOST_LINES
  )
  t.same(long.map(([name]) => name), [])
})

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
