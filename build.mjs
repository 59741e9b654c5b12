// Compiles the TypeScript for Node 20: the service in one bundle with its packages, and the files that it serves, which
// are the console, the docs page and the client module; the client module, with its declarations and as a package of
// its own; the generator of the documents; one file per test.
// `npm run types` checks the types.
//
// The bundle takes 430 ms of CPU time off a start (0.80 s instead of 1.23 s, medians of nine alternating starts): Node
// resolves and reads a few files instead of hundreds. Three further measures were removed, because none of them gained
// anything that could be measured in a start (medians of 15): packages in files without source maps, `require` in place of
// `import` for built-in modules, and a schema compiler that was loaded with the first request.
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const PAGE = 'node_modules/@fastify/swagger-ui/static'
const PARTS = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png']
const ASYNCAPI = 'openapi/asyncapi.json'
const CONSOLE = 'dist/console'
const CLIENT_PACKAGE = 'dist/client'
// How one file of the service names another: esbuild puts a hash into its name.
const OUTPUT = /"(?:\.\/)?((?:packages\/)?[\w-]+-[A-Z0-9]{8}\.(?:js|css))"/g
// CommonJS packages in the bundle call `require` for built-in modules.
const REQUIRE = "import { createRequire as requireFrom } from 'node:module'\nconst require = requireFrom(import.meta.url)"
// Fastify loads these only for features that the service does not use.
const UNUSED = ['@fastify/fast-json-stringify-compiler', 'light-my-request']

const CLIENT = { entryPoints: ['src/client/client.ts'], platform: 'neutral', target: 'es2022', minify: true }

const outputs = {
  service: [
    {
      entryPoints: { main: 'src/main.ts' },
      outdir: 'dist',
      chunkNames: 'packages/[name]-[hash]',
      splitting: true,
      packages: 'bundle',
      external: UNUSED,
      banner: { js: REQUIRE },
      // Names and lines stay, because Node shows the line of an error. The licences are in a file of their own.
      minifySyntax: true,
      sourcesContent: false,
      legalComments: 'none',
      plugins: [{ name: 'unmapped-packages', setup: leavePackagesUnmapped }],
      metafile: true
    },
    {
      entryPoints: { main: 'src/console/main.tsx', styles: 'src/console/styles.css' },
      outdir: CONSOLE,
      entryNames: '[name]-[hash]',
      packages: 'bundle',
      platform: 'browser',
      target: 'es2022',
      jsx: 'automatic',
      jsxImportSource: 'preact',
      minify: true,
      sourcemap: false,
      legalComments: 'none',
      metafile: true
    },
    { ...CLIENT, outfile: 'dist/docs/client.js', sourcemap: false }
  ],
  client: [
    { ...CLIENT, outfile: 'dist/client.js' },
    { entryPoints: ['tools/client-types.ts'], outfile: 'dist/client-types.js' }
  ],
  documents: { entryPoints: ['tools/generate-docs.ts'], outfile: 'dist/generate-docs.js' },
  picture: { entryPoints: ['tools/picture.ts'], outfile: 'dist/picture.js' },
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
      // The packages, tap among them, are in the build: it takes 0.5 s of CPU time off each file that loads the
      // service. These stay outside, because few files need them and they are large.
      packages: 'bundle',
      external: ['esbuild', 'typescript', 'openapi-typescript', 'playwright-core', ...UNUSED],
      // tap's domains hook every promise. They take a sixth of the CPU time of all tests.
      alias: { 'async-hook-domain': './test/support/no-domain.ts', '@fastify/ajv-compiler': './test/support/shared-validators.cts' },
      plugins: [{ name: 'unmapped-packages', setup: leavePackagesUnmapped }],
      banner: { js: REQUIRE },
      sourcesContent: false
    }
  ]
}
// Only one position of a package has a place in the map: the first.
const NO_MAPPINGS = Buffer.from('{"version":3,"sources":["package"],"mappings":"AAAA"}').toString('base64')
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
    if (each.outdir === CONSOLE) writePage(metafile.outputs)
  }
}
if (wanted.includes('client')) {
  await import('./dist/client-types.js')
  writeClientPackage()
}
if (wanted.includes('service')) {
  for (const part of PARTS) cpSync(`${PAGE}/${part}`, `dist/docs/${part}`)
  cpSync(ASYNCAPI, `dist/docs/${basename(ASYNCAPI)}`)
  for (const folder of ['dist/docs', CONSOLE]) precompress(folder)
  writeFileSync('dist/LICENSES.txt', licences(bundled))
}

/** `undefined`: only production packages are installed, or esbuild is another platform's. */
async function loadEsbuild () {
  try {
    const loaded = await import('esbuild')
    await loaded.transform('')
    return loaded
  } catch {
    return undefined
  }
}

/** The message and the exit code when nothing can be built. A complete `dist` is enough to start the service. */
function withoutEsbuild () {
  const missing = wanted.join() === 'service' ? missingParts() : []
  if (wanted.join() !== 'service') return ['esbuild does not run here, so nothing can be built. Run `npm ci --include=dev` first.', 1]
  if (missing.length === 0) return ['esbuild does not run here: dist/ is used as it is.', 0]
  return [`dist/ is not complete (${missing[0]} is missing) and esbuild does not run here. Run \`npm ci --include=dev && npm run build\`.`, 1]
}

/** The missing files of the service: those with fixed names, and those that they name. */
function missingParts () {
  const served = [...PARTS, 'client.js', basename(ASYNCAPI)].map((part) => `dist/docs/${part}`)
  const parts = new Set(['dist/main.js', ...served, `${CONSOLE}/index.html`])
  for (const part of parts) {
    if (!/^dist\/(?:main|packages\/.+)\.js$|\.html$/.test(part) || !existsSync(part)) continue
    const folder = part.slice(0, part.lastIndexOf('/'))
    // The loop visits these too.
    for (const [, name] of readFileSync(part, 'utf8').matchAll(OUTPUT)) parts.add(`${folder}/${name}`)
  }
  return [...parts].filter((part) => !existsSync(part))
}

/** Writes the client as a package of its own, without the dependencies of the service. */
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

/** Writes the HTML file of the console, which names the outputs in place of their sources. */
function writePage (outputs) {
  const source = readFileSync('src/console/index.html', 'utf8')
  const html = Object.entries(outputs).reduce((text, [path, { entryPoint }]) => {
    const name = `"${basename(entryPoint)}"`
    if (!text.includes(name)) throw new Error(`src/console/index.html does not name ${name}`)
    return text.replace(name, `"${basename(path)}"`)
  }, source)
  writeFileSync(`${CONSOLE}/index.html`, html)
}

/** Writes each file that gets shorter once more, as Brotli and as gzip, so that the service need not compress it. */
function precompress (folder) {
  for (const name of readdirSync(folder).filter((each) => /\.(?:css|html|js|json)$/.test(each))) {
    const body = readFileSync(`${folder}/${name}`)
    // For the script of the docs page, the best quality costs 4.5 s of CPU time and saves 9 % of the length.
    const quality = body.length > 100_000 ? 9 : constants.BROTLI_MAX_QUALITY
    const params = { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_SIZE_HINT]: body.length }
    writeFileSync(`${folder}/${name}.br`, brotliCompressSync(body, { params }))
    writeFileSync(`${folder}/${name}.gz`, gzipSync(body, { level: constants.Z_BEST_COMPRESSION }))
  }
}

async function write (output) {
  if (output.outdir?.includes('/')) rmSync(output.outdir, { recursive: true, force: true })
  if (output.outdir === 'dist') rmSync('dist/packages', { recursive: true, force: true })
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

/**
 * Keeps packages out of the source maps. Node parses the whole map at the first stack that is read: also undici's, when
 * an idle connection ends after four seconds. With all packages in the map, that took 69 MB of resident memory for
 * good; without them 24 MB. tap reads the stack of each assertion.
 */
function leavePackagesUnmapped (build) {
  build.onLoad({ filter: /node_modules.+\.[cm]?js$/ }, ({ path }) => ({
    contents: `${readFileSync(path, 'utf8')}\n//# sourceMappingURL=data:application/json;base64,${NO_MAPPINGS}`
  }))
}

/** The licences of all bundled packages, which must accompany their code. */
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
