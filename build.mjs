// Turns the TypeScript into what Node 20 runs: the service with all packages that it needs beside it, and the parts of
// its page; the client module, with its declarations and as a package of its own; what writes the documents; one file a
// test. Types are checked by `npm run types`.
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'

const PAGE = 'node_modules/@fastify/swagger-ui/static'
const PARTS = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png']
const CLIENT_PACKAGE = 'dist/client'
// How a file of the service's names another one: esbuild puts a digest into it.
const OUTPUT = /"\.\/((?:packages\/)?[\w-]+-[A-Z0-9]{8}\.js)"/g
// Packages that are one piece each. They get a file of their own that has no source map: Node reads all of a file that
// has one.
const WHOLE = [
  '@fastify/websocket', 'close-with-grace', 'fastify', 'fastify-plugin', 'pino', 'prom-client',
  'undici'
]
// Packages that are no modules find theirs with it.
const REQUIRE = "import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)"
// Lines and names stay: Node shows the line at which it fails. The licences are in a file beside it.
const whole = { packages: 'bundle', minifySyntax: true, sourcesContent: false, legalComments: 'none', metafile: true }

const outputs = {
  service: [
    {
      ...whole,
      entryPoints: { main: 'src/main.ts', 'packages/whole': 'whole' },
      outdir: 'dist',
      chunkNames: 'packages/[name]-[hash]',
      splitting: true,
      // Fastify's own: for what is never asked of it, and what it is given by `schemas.ts`.
      external: ['@fastify/ajv-compiler', '@fastify/fast-json-stringify-compiler', 'light-my-request'],
      banner: { js: REQUIRE },
      plugins: [wholePackages(), requiredBuiltins()]
    },
    { ...whole, entryPoints: ['@fastify/ajv-compiler'], outfile: 'dist/packages/validators.cjs', format: 'cjs', sourcemap: false }
  ],
  client: [
    { entryPoints: ['src/client/client.ts'], outfile: 'dist/client.js', platform: 'neutral', target: 'es2022', minify: true },
    { entryPoints: ['tools/client-types.ts'], outfile: 'dist/client-types.js' }
  ],
  documents: { entryPoints: ['tools/generate-docs.ts'], outfile: 'dist/generate-docs.js' },
  fuzz: { entryPoints: ['test/fuzz/fuzz.ts'], outdir: 'dist/fuzz' },
  soak: { entryPoints: ['test/oracle/soak.ts', 'test/oracle/visits.ts'], outdir: 'dist/soak' },
  bench: { entryPoints: ['bench/bench.ts', 'bench/upstream.ts', 'bench/subscribers.ts', 'bench/callers.ts', ...await found('bench/peers', /\.ts$/)], outdir: 'dist/bench', outbase: 'bench' },
  tests: [
    { entryPoints: ['tools/run-tests.ts'], outfile: 'dist/run-tests.js' },
    {
      entryPoints: await found('test', /\.test\.ts$/),
      outdir: 'dist/test',
      outbase: 'test',
      // What several test files import is built once.
      splitting: true,
      chunkNames: 'shared/[name]-[hash]',
      sourcesContent: false
    }
  ]
}
const wanted = process.argv.slice(2)
const esbuild = await loadEsbuild()
if (esbuild === undefined) {
  const [word, code] = withoutEsbuild()
  console.error(word)
  process.exit(code)
}
const bundled = [PAGE]

for (const [name, output] of Object.entries(outputs)) {
  if (!wanted.includes(name)) continue
  for (const each of [output].flat()) {
    const { metafile } = await write(each)
    bundled.push(...Object.keys(metafile?.inputs ?? {}))
  }
}
if (wanted.includes('client')) {
  await import('./dist/client-types.js')
  writeClientPackage()
}
if (wanted.includes('service')) {
  for (const part of PARTS) cpSync(`${PAGE}/${part}`, `dist/docs/${part}`)
  writeFileSync('dist/LICENSES.txt', licences(bundled))
}

/** `undefined`: only what production needs was installed, or esbuild is another platform's. */
async function loadEsbuild () {
  try {
    const loaded = await import('esbuild')
    await loaded.transform('')
    return loaded
  } catch {
    return undefined
  }
}

/** What is said, and the exit code, where nothing can be built: a `dist` that is complete will do to start. */
function withoutEsbuild () {
  const missing = wanted.join() === 'service' ? missingParts() : []
  if (wanted.join() !== 'service') return ['esbuild does not run here, so nothing can be built. Run `npm ci --include=dev` first.', 1]
  if (missing.length === 0) return ['esbuild does not run here: dist/ is used as it was built.', 0]
  return [`dist/ is not complete (${missing[0]} is missing) and esbuild does not run here. Run \`npm ci --include=dev && npm run build\`.`, 1]
}

/** The files of the service that are not there: those that have fixed names, and those that they import. */
function missingParts () {
  const parts = new Set(['dist/main.js', 'dist/packages/validators.cjs', ...PARTS.map((part) => `dist/docs/${part}`)])
  for (const part of parts) {
    if (!part.endsWith('.js') || part.startsWith('dist/docs/') || !existsSync(part)) continue
    const folder = part.slice(0, part.lastIndexOf('/'))
    // Is looked at, too.
    for (const [, name] of readFileSync(part, 'utf8').matchAll(OUTPUT)) parts.add(`${folder}/${name}`)
  }
  return [...parts].filter((part) => !existsSync(part))
}

/** The client as a package of its own: whoever installs it gets none of what the service needs. */
function writeClientPackage () {
  const { license, version } = JSON.parse(readFileSync('package.json', 'utf8'))
  const files = ['client.js', 'client.js.map', 'client.d.ts']
  rmSync(CLIENT_PACKAGE, { recursive: true, force: true })
  mkdirSync(CLIENT_PACKAGE, { recursive: true })
  for (const file of files) cpSync(`dist/${file}`, `${CLIENT_PACKAGE}/${file}`)
  cpSync('LICENSE', `${CLIENT_PACKAGE}/LICENSE`)
  cpSync('src/client/README.md', `${CLIENT_PACKAGE}/README.md`)
  const manifest = {
    name: 'kubiya-audit-client',
    version,
    description: 'Follows the audit events of kubiya-audit-bff, each once, in browsers and Node.',
    license,
    type: 'module',
    sideEffects: false,
    main: './client.js',
    types: './client.d.ts',
    exports: { '.': { types: './client.d.ts', default: './client.js' }, './package.json': './package.json' },
    files
  }
  writeFileSync(`${CLIENT_PACKAGE}/package.json`, `${JSON.stringify(manifest, undefined, 2)}\n`)
}

async function write (output) {
  if (output.outdir?.includes('/')) rmSync(output.outdir, { recursive: true, force: true })
  return esbuild.build({
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: true,
    logLevel: 'warning',
    ...output
  })
}

/** Makes what both entries need a file of its own, and takes the source maps from all that is only packages. */
function wholePackages () {
  return {
    name: 'whole-packages',
    setup ({ onEnd, onLoad, onResolve }) {
      rmSync('dist/packages', { recursive: true, force: true })
      onResolve({ filter: /^whole$/ }, ({ path }) => ({ path, namespace: 'whole' }))
      onLoad({ filter: /^/, namespace: 'whole' }, () => ({ contents: WHOLE.map((name) => `import '${name}'`).join('\n'), resolveDir: '.' }))
      onEnd(() => {
        for (const name of readdirSync('dist/packages')) {
          const path = `dist/packages/${name}`
          if (name.endsWith('.map') || name.startsWith('whole.')) rmSync(path)
          else writeFileSync(path, readFileSync(path, 'utf8').replace(/\/\/# sourceMappingURL=.*\n$/, ''))
        }
      })
    }
  }
}

/**
 * Requires what Node brings along: an import makes every part of a module ready at once, of `node:http` a whole HTTP
 * client.
 */
function requiredBuiltins () {
  return {
    name: 'required-builtins',
    setup ({ onLoad, onResolve }) {
      onResolve({ filter: /^node:/ }, ({ kind, path }) => kind === 'import-statement' ? { path, namespace: 'builtin', sideEffects: false } : { path, external: true })
      onLoad({ filter: /^/, namespace: 'builtin' }, ({ path }) => ({ contents: `module.exports = require('${path}')` }))
    }
  }
}

/** The licences of all packages that files are taken from: they ask to go where the code goes. */
function licences (paths) {
  const folders = new Set(paths.map((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]).filter((folder) => folder !== undefined))
  return [...folders].sort().map((folder) => {
    const { license, name, version } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
    const texts = readdirSync(folder).filter((file) => /^(?:licen[cs]e|notice)/i.test(file)).map((file) => readFileSync(`${folder}/${file}`, 'utf8').trim())
    return [`${name} ${version} (${license})`, ...texts, ''].join('\n\n')
  }).join('\n')
}

async function found (folder, pattern) {
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  return names.filter((name) => pattern.test(name)).map((name) => `${folder}/${name}`)
}
