import { readFile, writeFile } from 'node:fs/promises'
import type { TSchema } from '@sinclair/typebox'
import openapiTypes, { astToString } from 'openapi-typescript'
import { version } from '../src/app.ts'
import { asyncapi } from './asyncapi.ts'
import { writeOpenapi } from './openapi.ts'
import { Settings } from '../src/settings.ts'

// Writes the documents that the schemas generate: three in openapi/, and docs/settings.md.
// `--check` writes nothing, and fails if a file is out of date.

const OPENAPI = 'openapi/openapi.json'
const TYPES = 'openapi/openapi.d.ts'
const ASYNCAPI = 'openapi/asyncapi.json'
const SETTINGS = 'docs/settings.md'

const SETTINGS_INTRODUCTION = `# Settings

The service reads its settings from the environment, once, at start. With a faulty value it does not start; the message lists
all faults. The same holds for a setting of a feature that this version lacks. An empty value counts as unset.

Names tell the unit: \`…_MS\` is in milliseconds, \`…_BYTES\` in bytes, \`…_PER_MINUTE\` in requests or events a minute.

| setting | default | meaning |
| --- | --- | --- |
`

const openapi = await writeOpenapi()
const documents = {
  [OPENAPI]: openapi,
  [TYPES]: astToString(await openapiTypes(openapi)),
  [ASYNCAPI]: asyncapi(version),
  [SETTINGS]: settingsPage()
}
const isCheck = process.argv.includes('--check')

for (const [path, text] of Object.entries(documents)) {
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
  return SETTINGS_INTRODUCTION + rows.join('')
}
