import type { AuditEvent } from '../audit/event.ts'
import { scalarText, type Json } from '../audit/exact-json.ts'
import { agentOf, isUserMessage, sessionOf, toolOf } from '../audit/narrative.ts'

/** The fields whose values are counted. Their names are those of the filter. */
export const COUNTED_FIELDS = [
  'category_type', 'category_name', 'resource_type', 'action_type', 'status', 'email', 'tool_name'
] as const
export type CountedField = typeof COUNTED_FIELDS[number]

/** The columns whose values are texts. A row holds a code of each column's dictionary. */
export const DICTIONARY_COLUMNS = [
  'category_type', 'category_name', 'resource_type', 'action_type', 'email', 'session', 'tool', 'agent'
] as const
export type DictionaryColumn = typeof DICTIONARY_COLUMNS[number]

/** The outcomes of an event. A status code is an index of this list. */
export const STATUSES = ['success', 'failed', 'unknown'] as const
export type Status = typeof STATUSES[number]
export const [SUCCESS, FAILED, UNKNOWN] = [0, 1, 2]

/** What a row holds of an event, beside its position and its id. */
export interface EventColumns {
  /** An index of `STATUSES`. Unknown: the value is missing, null or not a boolean. */
  readonly status: number
  readonly isUserMessage: boolean
  /** The texts of the dictionary columns. `undefined`: missing or empty. */
  readonly texts: { readonly [Column in DictionaryColumn]: string | undefined }
  /** `session_id`, where `extra.session_id` names another session. A filter by session matches both. */
  readonly secondSession: string | undefined
}

/** The dictionary column of a counted field. `undefined`: the status, which has no dictionary. */
export function columnOf (field: CountedField): DictionaryColumn | undefined {
  if (field === 'status') return undefined
  return field === 'tool_name' ? 'tool' : field
}

export function columnsOf ({ item }: Pick<AuditEvent, 'item'>): EventColumns {
  const session = sessionOf(item)
  const outerSession = filled(item.session_id)
  return {
    status: item.action_successful === true ? SUCCESS : item.action_successful === false ? FAILED : UNKNOWN,
    isUserMessage: isUserMessage(item),
    texts: {
      category_type: filled(item.category_type),
      category_name: filled(item.category_name),
      resource_type: filled(item.resource_type),
      action_type: filled(item.action_type),
      email: filled(item.email),
      session,
      tool: toolOf(item),
      agent: agentOf(item)
    },
    secondSession: outerSession === session ? undefined : outerSession
  }
}

function filled (value: Json | undefined): string | undefined {
  const text = scalarText(value)
  return text === '' ? undefined : text
}
