import { readFile, readdir } from 'node:fs/promises'
import t from 'tap'

// The network and the parser take longer for each byte, on slow machines most. A library must be worth its bytes.
const MOST_BYTES = { js: 45_000, css: 6000 }

t.test('the console is small: its scripts and styles, gzipped', async (t) => {
  const names = await readdir('dist/console')
  for (const [ending, most] of Object.entries(MOST_BYTES)) {
    const compressed = names.filter((name) => name.endsWith(`.${ending}.gz`))
    t.equal(compressed.length, names.filter((name) => name.endsWith(`.${ending}`)).length, ending)
    const sizes = await Promise.all(compressed.map(async (name) => (await readFile(`dist/console/${name}`)).length))
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    t.ok(bytes > 0 && bytes <= most, `${bytes} bytes of ${ending}`)
  }
})
