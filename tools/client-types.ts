import { readFile, writeFile } from 'node:fs/promises'
import { OptionalKind, type TObject, type TSchema } from '@sinclair/typebox'
import ts from 'typescript'
import { PublishedEvent } from '../src/audit/event.ts'
import { AuditFilter } from '../src/audit/filter.ts'
import { Frame } from '../src/live/transport/frames.ts'
import { Problem } from '../src/problems.ts'

// Writes the client's declarations: one file that needs no other, the schemas' types printed with their descriptions.

const TARGET = 'dist/client.d.ts'
const PUBLIC = ['src/client/types.ts', 'src/client/client.ts']
const SCHEMAS: Record<string, TSchema> = { PublishedEvent, AuditFilter, Frame, Problem }

const printed = Object.entries(SCHEMAS).map(([name, schema]) =>
  `${comment(schema, '')}export type ${name} = ${print(schema, '')};\n`
)
await writeFile(TARGET, [...printed, ...await Promise.all(PUBLIC.map(declared))].join(''))

/** What a file declares itself. Imports and what is passed on name what stands in the same file here. */
async function declared (path: string): Promise<string> {
  const { outputText, diagnostics = [] } = ts.transpileDeclaration(await readFile(path, 'utf8'), {
    fileName: path,
    reportDiagnostics: true
  })
  if (diagnostics.length > 0) {
    throw new Error(ts.formatDiagnostics(diagnostics, {
      getCanonicalFileName: (name) => name,
      getCurrentDirectory: () => '',
      getNewLine: () => '\n'
    }))
  }
  return outputText.replace(/^(?:import|export) (?:type )?[{*][^;]*;\n/gm, '')
}

function print (schema: TSchema, indent: string): string {
  if (typeof schema.$ref === 'string') return nameOf(schema.$ref)
  if ('const' in schema) return JSON.stringify(schema.const)
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => JSON.stringify(value)).join(' | ')
  if (Array.isArray(schema.anyOf)) return schema.anyOf.map((each) => print(each, indent)).join(' | ')
  switch (schema.type) {
    case 'string':
    case 'boolean': return schema.type
    case 'number':
    case 'integer': return 'number'
    case 'array': return `Array<${print(schema.items, indent)}>`
    case 'object': return printObject(schema as TObject, indent)
    case undefined: return 'unknown'
    default: throw new Error(`no way to print a schema of type ${schema.type}`)
  }
}

function printObject ({ additionalProperties, properties }: TObject, indent: string): string {
  const inner = `${indent}    `
  const members = Object.entries(properties).map(([name, schema]) =>
    `${comment(schema, inner)}${inner}${name}${OptionalKind in schema ? '?' : ''}: ${print(schema, inner)};\n`)
  if (additionalProperties === true) members.push(`${inner}[field: string]: unknown;\n`)
  return `{\n${members.join('')}${indent}}`
}

function nameOf (ref: string): string {
  const found = Object.entries(SCHEMAS).find(([, { $id }]) => `${$id}#` === ref)
  if (found === undefined) throw new Error(`${ref} is not among the client's types`)
  return found[0]
}

function comment ({ description }: TSchema, indent: string): string {
  return description === undefined ? '' : `${indent}/** ${description.replaceAll('*/', '*\\/')} */\n`
}
