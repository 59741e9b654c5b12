// Turns the TypeScript into what Node 20 runs: one file for the service, one a test; and into one file for the client module,
// with its declarations. Types are checked by `npm run types`.
import { rmSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { build } from 'esbuild'

const outputs = {
  service: { entryPoints: ['src/main.ts', 'src/documents.ts'], outdir: 'dist' },
  client: [
    { entryPoints: ['src/client/client.ts'], outfile: 'dist/client.js', platform: 'neutral', target: 'es2022', minify: true },
    { entryPoints: ['src/declarations.ts'], outfile: 'dist/declarations.js' }
  ],
  soak: { entryPoints: ['test/oracle/soak.ts'], outdir: 'dist/soak' },
  bench: { entryPoints: ['bench/bench.ts', 'bench/upstream.ts', 'bench/subscribers.ts', 'bench/callers.ts', ...await found('bench/peers', /\.ts$/)], outdir: 'dist/bench', outbase: 'bench' },
  tests: { entryPoints: await found('test', /\.test\.ts$/), outdir: 'dist/test', outbase: 'test', sourcesContent: false }
}
const wanted = process.argv.slice(2)

for (const [name, output] of Object.entries(outputs)) {
  if (!wanted.includes(name)) continue
  for (const each of [output].flat()) await write(each)
}
if (wanted.includes('client')) await import('./dist/declarations.js')

async function write (output) {
  if (output.outdir !== undefined) rmSync(output.outdir, { recursive: true, force: true })
  await build({
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

async function found (folder, pattern) {
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  return names.filter((name) => pattern.test(name)).map((name) => `${folder}/${name}`)
}
