import { scalarText, writeJson } from '../audit/exact-json.ts'
import type { AuditEvent } from '../audit/event.ts'
import { formatInstant } from '../audit/instant.ts'
import type { ExportFormat } from './export-format.ts'
import { incompleteLine } from './incomplete-line.ts'

// Control characters and the line breaks of Unicode. A terminal obeys some of them.
const UNPRINTABLE = /[\p{Cc}\u2028\u2029]/gu
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\t' }

/**
 * One line for each event, in the form of Kubiya's CLI (docs/kubiya-api.md §1), with the whole instant:
 * `[2025-06-03T09:14:07.218334Z] agents/helper - executed: restarted (true)`. Control characters are written out.
 */
export const txtFormat: ExportFormat = {
  mediaType: 'text/plain; charset=utf-8',
  extension: 'txt',
  head: '',
  event (event) {
    const { instant } = event
    const time = instant === undefined ? textOf(event, 'timestamp') || 'no time' : formatInstant(instant)
    const [type, name, action, text] = ['category_type', 'category_name', 'action_type', 'resource_text'].map((field) =>
      textOf(event, field))
    return `[${time}] ${type}/${name} - ${action}: ${text} (${outcomeOf(event)})\n`
  },
  end: (summary) => incompleteLine(summary, '\n')
}

function textOf ({ item }: AuditEvent, field: string): string {
  const value = Object.hasOwn(item, field) ? item[field] ?? null : null
  const text = value === null ? '' : scalarText(value) ?? writeJson(value)
  return text.replace(UNPRINTABLE, writtenOut)
}

function outcomeOf ({ item: { action_successful: outcome } }: AuditEvent): string {
  return typeof outcome === 'boolean' ? String(outcome) : 'unknown'
}

function writtenOut (character: string): string {
  return NAMED[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
