import { readFile, writeFile } from 'node:fs/promises'
import type { TSchema } from '@sinclair/typebox'
import { version } from '../src/app.ts'
import { asyncapi } from './asyncapi.ts'
import { writeOpenapi } from './openapi.ts'
import { Settings } from '../src/settings.ts'

// Writes what is generated from the schemas: the two documents in openapi/ and docs/settings.md.
// `--check` writes nothing and fails where a file is not what it should be.

const OPENAPI = 'openapi/openapi.json'
const ASYNCAPI = 'openapi/asyncapi.json'
const SETTINGS = 'docs/settings.md'

const wanted = {
  [OPENAPI]: await writeOpenapi(),
  [ASYNCAPI]: asyncapi(version),
  [SETTINGS]: settingsPage()
}
const isCheck = process.argv.includes('--check')

for (const [path, text] of Object.entries(wanted)) {
  const present = await readFile(path, 'utf8').catch(() => '')
  if (present === text) continue
  if (!isCheck) await writeFile(path, text)
  process.stdout.write(`${path} ${isCheck ? 'is out of date: run `npm run documents`' : 'written'}\n`)
  if (isCheck) process.exitCode = 1
}

function settingsPage (): string {
  const rows = Object.entries(Settings.properties).map(([name, schema]: [string, TSchema]) =>
    `| \`${name}\` | ${schema.default === undefined ? '' : String(schema.default)} | ${schema.description ?? ''} |\n`
  )
  return `# Settings\n\nThe service reads its settings from the environment. A value that does not fit ends the start, with a line for each fault.\n\n| setting | default | what it does |\n| --- | --- | --- |\n${
    rows.join('')
  }`
}
