// Turns the TypeScript into what Node 20 runs: the service with all that it needs, in one file beside the parts of its page;
// the client module, with its declarations; what writes the documents; one file a test. Types are checked by `npm run types`.
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { build } from 'esbuild'

const PAGE = 'node_modules/@fastify/swagger-ui/static'
const PARTS = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png']
// Packages that are no modules find theirs with it.
const REQUIRE = "import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)"

const outputs = {
  service: {
    entryPoints: ['src/main.ts'],
    outfile: 'dist/main.js',
    packages: 'bundle',
    external: ['@fastify/fast-json-stringify-compiler', 'light-my-request'], // Fastify's own, for what is never asked of it.
    legalComments: 'none', // The whole licences are in a file beside it.
    metafile: true,
    // The less there is to read, the sooner it starts. Names stay.
    minifySyntax: true,
    minifyWhitespace: true,
    sourcesContent: false,
    banner: { js: REQUIRE },
    plugins: [ownSourcesOnly(), requiredBuiltins()]
  },
  client: [
    { entryPoints: ['src/client/client.ts'], outfile: 'dist/client.js', platform: 'neutral', target: 'es2022', minify: true },
    { entryPoints: ['src/declarations.ts'], outfile: 'dist/declarations.js' }
  ],
  documents: { entryPoints: ['src/documents.ts'], outfile: 'dist/documents.js' },
  soak: { entryPoints: ['test/oracle/soak.ts'], outdir: 'dist/soak' },
  tests: { entryPoints: await found('test', /\.test\.ts$/), outdir: 'dist/test', outbase: 'test', sourcesContent: false }
}
const wanted = process.argv.slice(2)

for (const [name, output] of Object.entries(outputs)) {
  if (!wanted.includes(name)) continue
  for (const each of [output].flat()) {
    const { metafile } = await write(each)
    if (metafile !== undefined) writeFileSync('dist/LICENSES.txt', licences([...Object.keys(metafile.inputs), PAGE]))
  }
}
if (wanted.includes('client')) await import('./dist/declarations.js')
if (wanted.includes('service')) for (const part of PARTS) cpSync(`${PAGE}/${part}`, `dist/docs/${part}`)

async function write (output) {
  if (output.outdir !== undefined) rmSync(output.outdir, { recursive: true, force: true })
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

/** Leaves packages out of the source map: it is read at each start, and they are as they were. */
function ownSourcesOnly () {
  const none = Buffer.from('{"version":3,"sources":[""],"mappings":"AAAA"}').toString('base64')
  return {
    name: 'own-sources-only',
    setup ({ onLoad }) {
      onLoad({ filter: /node_modules.*\.[cm]?js$/ }, ({ path }) =>
        ({ contents: `${readFileSync(path, 'utf8')}\n//# sourceMappingURL=data:application/json;base64,${none}`, loader: 'default' }))
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
