import { access, readFile, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t from 'tap'
import packageJson from '../package.json' with { type: 'json' }
import { KubiyaError } from '../src/http/kubiya-error.ts'
import { problemOf, type ProblemCode } from '../src/problems.ts'
import { Settings } from '../src/settings.ts'
import { metricNames } from './support/deployment.ts'
import { startService } from './support/support.ts'

const README = 'README.md'
const ERROR_CODES: readonly string[] = KubiyaError.properties.errorCode.enum
const OPERATIONS = 'docs/operations.md'
const LONGEST_README_LINES = 140
// Upper-case words with an underscore that are no settings of this service.
const OTHERS_VARIABLES = /^(?:OTEL_\w+|NODE_IMAGE|LIKE_THIS|NODE_ENV)$/
const FORMER = 'CHANGELOG.md' // It names settings that no longer exist.
const CODES: Record<ProblemCode, true> = {
  'invalid-parameter': true,
  'invalid-time': true,
  'invalid-cursor': true,
  'invalid-request': true,
  unauthorized: true,
  forbidden: true,
  'not-found': true,
  'not-acceptable': true,
  'request-timeout': true,
  'payload-too-large': true,
  'unsupported-media-type': true,
  'header-too-large': true,
  'rate-limited': true,
  internal: true,
  'upstream-unauthorized': true,
  'upstream-invalid': true,
  'upstream-unavailable': true,
  'upstream-throttled': true,
  'credential-unchecked': true,
  overloaded: true,
  'upstream-timeout': true
}

const paths = [
  ...(await readdir('.')).filter((name) => name.endsWith('.md')),
  ...(await readdir('docs')).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
  'src/client/README.md',
  'test/hardening/README.md'
]
const documents = new Map(await Promise.all(paths.map(async (path) => [path, await readFile(path, 'utf8')] as const)))
const textOf = (path: string) => documents.get(path) ?? ''

/** A heading's anchor, as GitHub makes it. */
function anchorsOf (text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading.toLowerCase().replace(/[^\p{L}\p{N}_\- ]/gu, '').replaceAll(' ', '-')
  )
}

function section (text: string, heading: string): string {
  return text.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
}

t.test('README is short', async (t) => {
  const lines = textOf(README).trimEnd().split('\n').length
  t.ok(lines <= LONGEST_README_LINES, `${lines} lines`)
})

t.test('every link of the documents leads to a file and a heading that exist', async (t) => {
  for (const [path, text] of documents) {
    for (const [, link = ''] of text.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      const [file = '', anchor] = link.split('#')
      const target = file === '' ? path : join(dirname(path), file)
      await t.resolves(access(target), `${path}: ${link}`)
      if (anchor !== undefined) t.ok(anchorsOf(await readFile(target, 'utf8')).includes(anchor), `${path}: ${link}`)
    }
  }
})

t.test('every source and test file that the documents name exists', async (t) => {
  let named = 0
  for (const [path, text] of documents) {
    for (const [, name = ''] of text.matchAll(/`([^`\s*]+\.(?:ts|mjs))`/g)) {
      named++
      const places = [dirname(path), '.', 'src'].map((folder) => join(folder, name))
      const found = await Promise.all(places.map((place) => access(place).then(() => true, () => false)))
      t.ok(found.includes(true), `${path}: ${name}`)
    }
  }
  t.ok(named > 30)
})

t.test('every setting that the documents name exists', async (t) => {
  for (const [path, text] of documents) {
    if (path === FORMER) continue
    const named = [...text.matchAll(/`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`/g)].map(([, name = '']) => name)
    const known = [...Object.keys(Settings.properties), ...ERROR_CODES]
    t.same(named.filter((name) => !known.includes(name) && !OTHERS_VARIABLES.test(name)), [], path)
  }
})

t.test('every script that the documents name exists', async (t) => {
  const scripts = Object.keys(packageJson.scripts)
  for (const [path, text] of documents) {
    const named = [...text.matchAll(/npm (?:run )?([a-z][a-z:]+)/g)].map(([, name = '']) => name)
    t.same(named.filter((name) => !['ci', 'install', 'pack', ...scripts].includes(name)), [], path)
  }
})

t.test('docs/compatible.md lists every error code of Kubiya\'s own routes', async (t) => {
  const listed = [...section(textOf('docs/compatible.md'), 'Errors').matchAll(/`([A-Z_]{8,})`/g)].map(([, code]) => code)
  t.same([...new Set(listed)].sort(), [...ERROR_CODES].sort())
})

t.test('docs/api.md lists every problem code with its status and title', async (t) => {
  const rows = [...section(textOf('docs/api.md'), 'Errors').matchAll(/^\| (\d{3}) \| `([^`]+)` \| (.*) \|$/gm)]
  const listed = rows.map(([, status, code, title]) => ({ status: Number(status), code, title }))
  const known = Object.keys(CODES).map((code) => {
    const { status, title } = problemOf(code as ProblemCode, '', '')
    return { status, code, title }
  })
  const byCode = (a: { code?: string | undefined }, b: { code?: string | undefined }) =>
    String(a.code) < String(b.code) ? -1 : 1
  t.same(listed.sort(byCode), known.sort(byCode))
})

t.test('docs/client.md lists every option of the client module', async (t) => {
  const source = await readFile('src/client/types.ts', 'utf8')
  const options = [...source.matchAll(/^export interface Audit(?:Frames|Stream)Options .*\{\n([^]*?)\n\}/gm)].flatMap(
    ([, declared = '']) => [...declared.matchAll(/^ {2}readonly (\w+)/gm)].map(([, name = '']) => name)
  )
  t.ok(options.includes('onGap') && options.length > 10)
  const named = [...section(textOf('docs/client.md'), 'Options').matchAll(/^\| ([^|]+) \|/gm)]
    .flatMap(([, cell = '']) => [...cell.matchAll(/`(\w+)`/g)].map(([, name = '']) => name))
  t.same(named.sort(), options.sort())
})

t.test('docs/operations.md lists every metric of the service, and no other', async (t) => {
  const service = await startService(t)
  const exposed = [...metricNames(await (await service.get('/metrics')).text())]
    .filter((name) => name.startsWith('kubiya_audit_bff_'))
    .map((name) => name.replace('kubiya_audit_bff_', '').replace(/_(?:bucket|sum|count)$/, ''))
  const [, table = ''] = section(textOf(OPERATIONS), 'Metrics').split('| metric | meaning |')
  const cells = [...(table.split('\n\n')[0] ?? '').matchAll(/^\| ([^|]+) \|/gm)].map(([, cell = '']) => cell)
  const named = cells.flatMap((cell) => [...cell.matchAll(/`([a-z_]+)(?:\{[^`]*\})?`/g)].map(([, name = '']) => name))
  const absent = ['upstream_budget_requests_left', 'upstream_budget_requests_capacity'] // The sandbox has no budget.
  t.same([...new Set(named)].sort(), [...new Set([...exposed, ...absent])].sort())
})

t.test('the measured figures of README and docs/operations.md are in bench/RESULTS.md', async (t) => {
  const measured = numbersOf(await readFile('bench/RESULTS.md', 'utf8'))
  const sizing = section(textOf(OPERATIONS), 'Sizing').split('\n### ')[0] ?? ''
  const quoted = [
    ...numbersOf(section(textOf(README), 'Performance')),
    ...[...sizing.matchAll(/^\| [^|]+ \| ([^|]+) \|$/gm)].flatMap(([, cell = '']) => numbersOf(cell))
  ]
  t.ok(quoted.length > 10)
  t.same(quoted.filter((figure) => !measured.includes(figure)), [])
})

/** The numbers of a text without thousands separators. Links and code do not count. */
function numbersOf (text: string): string[] {
  const plain = text.replace(/\]\([^)]*\)|`[^`]*`/g, '').replace(/(?<=\d) (?=\d{3}\b)/g, '')
  return plain.match(/\d+(?:\.\d+)?/g) ?? []
}
