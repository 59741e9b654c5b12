import { readFile, writeFile } from 'node:fs/promises'
import type { TSchema } from '@sinclair/typebox'
import { version } from './app.ts'
import { asyncapi } from './asyncapi.ts'
import { writeOpenapi } from './openapi.ts'
import { Settings } from './settings.ts'

// Writes what is generated from the schemas: the two documents in openapi/ and the README's table of settings.
// `--check` writes nothing and fails where a file is not what it should be.

const OPENAPI = 'openapi/openapi.json'
const ASYNCAPI = 'openapi/asyncapi.json'
const README = 'README.md'
const TABLE = /(<!-- settings -->\n)[^]*?(<!-- \/settings -->)/

const wanted = {
  [OPENAPI]: await writeOpenapi(),
  [ASYNCAPI]: asyncapi(version),
  [README]: (await readFile(README, 'utf8')).replace(TABLE, `$1${settingsTable()}$2`)
}
const isCheck = process.argv.includes('--check')

for (const [path, text] of Object.entries(wanted)) {
  const present = await readFile(path, 'utf8').catch(() => '')
  if (present === text) continue
  if (!isCheck) await writeFile(path, text)
  process.stdout.write(`${path} ${isCheck ? 'is out of date: run `npm run documents`' : 'written'}\n`)
  if (isCheck) process.exitCode = 1
}

function settingsTable (): string {
  const rows = Object.entries(Settings.properties).map(([name, schema]: [string, TSchema]) =>
    `| \`${name}\` | ${schema.default === undefined ? '' : String(schema.default)} | ${schema.description ?? ''} |\n`)
  return `| setting | default | what it does |\n| --- | --- | --- |\n${rows.join('')}`
}
