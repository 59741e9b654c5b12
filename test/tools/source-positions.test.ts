import { SourceMap } from 'node:module'
import t from 'tap'
import { atSources } from '../../tools/source-positions.ts'

// The first column of line 1 is line 3, column 5 of the source; line 2 is of a package.
const MAP = new SourceMap({
  file: 'a.test.js',
  version: 3,
  sources: ['../../../test/live/a.test.ts', '../../../node_modules/b/index.js'],
  sourcesContent: [],
  names: [],
  mappings: 'AAEI;ACAA',
  sourceRoot: ''
})

t.test('source positions: a position of a built file becomes that of its source', async (t) => {
  const mapOf = (file: string) => file === 'dist/test/live/a.test.js' ? MAP : undefined
  const text = 'Test.<anonymous> (file:///x/dist/test/live/a.test.js:1:1)'
  t.equal(atSources(text, mapOf), 'Test.<anonymous> (file:///x/test/live/a.test.ts:3:5)')
  for (const other of ['dist/test/live/a.test.js:2:1', 'dist/test/shared/b.js:1:1', 'src/app.ts:1:1', 'no position']) {
    t.equal(atSources(other, mapOf), other)
  }
})

t.test('source positions: a file without a map keeps its positions', async (t) => {
  t.equal(atSources('dist/no-such-file.js:1:1'), 'dist/no-such-file.js:1:1')
})
