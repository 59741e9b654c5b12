// Turns the TypeScript into what Node 20 runs: the service with all packages that it needs beside it, and the parts of its page;
// the client module, with its declarations; what writes the documents; one file a test. Types are checked by `npm run types`.
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { build } from 'esbuild'

const PAGE = 'node_modules/@fastify/swagger-ui/static'
const PARTS = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png']
// Packages that are one piece each. They get a file of their own that has no source map: Node reads all of a file that has one.
const WHOLE = [
  '@fastify/accepts', '@fastify/websocket', 'close-with-grace', 'fastify', 'fastify-plugin', 'pino', 'prom-client',
  'undici/lib/api/api-request.js', 'undici/lib/dispatcher/agent.js'
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
    { entryPoints: ['src/declarations.ts'], outfile: 'dist/declarations.js' }
  ],
  documents: { entryPoints: ['src/documents.ts'], outfile: 'dist/documents.js' },
  fuzz: { entryPoints: ['test/fuzz/fuzz.ts'], outdir: 'dist/fuzz' },
  soak: { entryPoints: ['test/oracle/soak.ts'], outdir: 'dist/soak' },
  bench: { entryPoints: ['bench/bench.ts', 'bench/upstream.ts', 'bench/subscribers.ts', 'bench/callers.ts', ...await found('bench/peers', /\.ts$/)], outdir: 'dist/bench', outbase: 'bench' },
  tests: { entryPoints: await found('test', /\.test\.ts$/), outdir: 'dist/test', outbase: 'test', sourcesContent: false }
}
const wanted = process.argv.slice(2)
const bundled = [PAGE]

for (const [name, output] of Object.entries(outputs)) {
  if (!wanted.includes(name)) continue
  for (const each of [output].flat()) {
    const { metafile } = await write(each)
    bundled.push(...Object.keys(metafile?.inputs ?? {}))
  }
}
if (wanted.includes('client')) await import('./dist/declarations.js')
if (wanted.includes('service')) {
  for (const part of PARTS) cpSync(`${PAGE}/${part}`, `dist/docs/${part}`)
  writeFileSync('dist/LICENSES.txt', licences(bundled))
}

async function write (output) {
  if (output.outdir?.includes('/')) rmSync(output.outdir, { recursive: true, force: true })
  return build({
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

/** Requires what Node brings along: an import makes every part of a module ready at once, of `node:http` a whole HTTP client. */
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
