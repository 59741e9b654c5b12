import { Type, type Static } from '@sinclair/typebox'
import { containsText, fold } from './folded-text.ts'
import { isJsonObject, scalarText, type JsonObject } from './exact-json.ts'

/** Longest value of one filter. */
export const FILTER_VALUE_CHARACTERS = 256
/** Bound on all values of one filter together, as JSON: a page's cursor contains them. */
export const MOST_FILTER_BYTES = 4096
const field = (description: string, example: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: FILTER_VALUE_CHARACTERS, description, examples: [example] }))

/** The filter of a list. A value matches if it is exactly equal. Kubiya may add new values at any time. */
export const FieldFilter = Type.Object({
  category_type: field('Only events whose `category_type` is exactly this.', 'agents'),
  category_name: field('Only events whose `category_name` is exactly this.', 'my-agent'),
  resource_type: field('Only events whose `resource_type` is exactly this.', 'agent'),
  action_type: field('Only events whose `action_type` is exactly this.', 'invoke'),
  session_id: field('Only events of this session: `extra.session_id` or `session_id`.', 'session-123'),
  email: field('Only events whose `email` is exactly this.', 'user1@acme.test'),
  tool_name: field('Only events whose `extra.tool_name` is exactly this.', 'kubectl_restart'),
  status: Type.Optional(Type.Unsafe<'success' | 'failed'>({
    type: 'string',
    enum: ['success', 'failed'],
    description:
      'Only events whose `action_successful` is true (`success`) or false (`failed`). A missing or null value is ' +
        'neither.'
  }))
}, { additionalProperties: false })

/** The filter of a search or a stream. */
export const AuditFilter = Type.Object({
  ...FieldFilter.properties,
  text: field(
    'Only events with this text in the value of any field, also of a nested one. Upper and lower case are equal in ' +
      'every script. Names of fields are not searched.',
    'timeout'
  )
}, { additionalProperties: false })
export type AuditFilter = Static<typeof AuditFilter>

/**
 * Whether a decoded object is a filter of these fields. TypeBox's own check cannot tell: it does not know `enum`.
 */
export function isFilter (value: object, fields: object): value is AuditFilter {
  return Object.entries(value).every(([name, each]) =>
    Object.hasOwn(fields, name) && typeof each === 'string' && each.length >= 1 &&
    each.length <= FILTER_VALUE_CHARACTERS && (name !== 'status' || each === 'success' || each === 'failed'))
}

export const FILTER_FIELDS = Object.keys(AuditFilter.properties) as Array<keyof AuditFilter>

/** Selects the filter from a larger set of parameters. */
export function pickFilter (parameters: AuditFilter): AuditFilter {
  return Object.fromEntries(FILTER_FIELDS.flatMap((name) =>
    parameters[name] === undefined ? [] : [[name, parameters[name]]])) as AuditFilter
}

/** A key: equal for equal filters, and different for different ones, whatever characters the values contain. */
export function filterKey (filter: AuditFilter): string {
  return JSON.stringify(FILTER_FIELDS.map((name) => filter[name] ?? null))
}

/** Bytes of all values of a filter, as one JSON array in UTF-8. */
export function filterBytes (filter: AuditFilter): number {
  return Buffer.byteLength(JSON.stringify(Object.values(filter)))
}

/**
 * Whether a part of the filter is evaluated only here. No known client filters Kubiya's list by these fields. So it is
 * unknown whether Kubiya would hide an event that matches (docs/kubiya-api.md §1.6).
 */
export function isJudgedHere ({ email, status, text, tool_name: tool }: AuditFilter): boolean {
  return email !== undefined || status !== undefined || text !== undefined || tool !== undefined
}

/** Compiles a filter to a predicate. */
export function compileFilter (filter: AuditFilter): (item: JsonObject) => boolean {
  const tests: Array<(item: JsonObject) => boolean> = []
  for (const name of ['category_type', 'category_name', 'resource_type', 'action_type', 'email'] as const) {
    const expected = filter[name]
    if (expected !== undefined) tests.push((item) => scalarText(item[name]) === expected)
  }
  const { session_id: session, status, text, tool_name: tool } = filter
  if (session !== undefined) tests.push((item) => sessionsOf(item).includes(session))
  if (tool !== undefined) tests.push((item) => extraText(item, 'tool_name') === tool)
  if (status !== undefined) tests.push((item) => item.action_successful === (status === 'success'))
  if (text !== undefined) {
    const folded = fold(text)
    tests.push((item) => containsText(item, folded))
  }
  return (item) => tests.every((test) => test(item))
}

function sessionsOf (item: JsonObject): Array<string | undefined> {
  return [scalarText(item.session_id), extraText(item, 'session_id')]
}

function extraText ({ extra }: JsonObject, name: string): string | undefined {
  return isJsonObject(extra) ? scalarText(extra[name]) : undefined
}
