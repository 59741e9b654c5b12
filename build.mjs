// Turns the TypeScript into what Node 20 runs: one file for the service, one a test. Types are checked by `npm run types`.
import { rmSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { build } from 'esbuild'

const outputs = {
  service: { entryPoints: ['src/main.ts', 'src/documents.ts'], outdir: 'dist' },
  tests: { entryPoints: await found('test', /\.test\.ts$/), outdir: 'dist/test', outbase: 'test' }
}
const wanted = process.argv.slice(2)

for (const [name, output] of Object.entries(outputs)) {
  if (!wanted.includes(name)) continue
  rmSync(output.outdir, { recursive: true, force: true })
  await build({
    ...output,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: true,
    logLevel: 'warning'
  })
}

async function found (folder, pattern) {
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  return names.filter((name) => pattern.test(name)).map((name) => `${folder}/${name}`)
}
