import { isJsonObject, scalarText, writeJson, type Json, type JsonObject } from './exact-json.ts'
import { readWrapper } from './wrapped-text.ts'

export const NARRATIVE_KINDS = [
  'user_message', 'agent_message', 'tool_call', 'tool_output', 'webhook', 'trigger', 'ai', 'system'
] as const
export type NarrativeKind = typeof NARRATIVE_KINDS[number]

/** What an event says in a conversation. Everything here is derived from the item. */
export interface Narrative {
  readonly kind: NarrativeKind
  /** Who speaks: the agent for its own messages and tools, otherwise the user's `email`. */
  readonly actor: string | undefined
  readonly agent: string | undefined
  readonly tool: string | undefined
  /** The text without its wrapper. A text that cannot be unwrapped stays as it is. It is never cut. */
  readonly text: string
  /** Whether the event repeats a tool call as a message, so that a conversation leaves it out. */
  readonly hidden: boolean
}

const LONGEST_TITLE = 200
/** How much of a text decides its kind. */
const LOOKED_AT_CHARACTERS = 65_536
const TOOL_KINDS: readonly NarrativeKind[] = ['tool_call', 'tool_output']
const SPOKEN_BY_AGENTS: readonly NarrativeKind[] = [...TOOL_KINDS, 'agent_message', 'ai']
const TOOL_CATEGORIES = ['tool_execution', 'tools']
const WEBHOOK_CATEGORIES = ['webhook', 'webhooks']
const TRIGGER_CATEGORIES = ['trigger', 'triggers']
const CALLS = ['call', 'called', 'invoke', 'invoked']
// Where Kubiya keeps a text that is not in `resource_text` (docs/kubiya-api.md §2.6).
const MESSAGE_FIELDS = ['content', 'message', 'text', 'body', 'response', 'prompt', 'query', 'answer']
const OUTPUT_FIELDS = ['output', 'result', 'response', 'data', 'content']

/** Derives what an event says. Its cost grows with the length of the text alone. */
export function narrate (item: JsonObject): Narrative {
  const written = ownText(item)
  const wrapper = readWrapper(written)
  const double = wrapper === undefined ? readDouble(item, written) : undefined
  const kind = double === undefined ? kindOf(item, wrapper?.type) : 'tool_call'
  const agent = agentOf(item)
  return {
    kind,
    actor: (SPOKEN_BY_AGENTS.includes(kind) ? agent : undefined) ?? nonEmpty(item.email),
    agent,
    tool: toolOf(item) ?? (TOOL_KINDS.includes(kind) ? toolByForm(item, wrapper ?? double) : undefined),
    text: wrapper?.text ?? written,
    hidden: double !== undefined
  }
}

/** The agent of an event: `extra.teammate_name`, otherwise the `category_name` of the category `agents`. */
export function agentOf (item: JsonObject): string | undefined {
  const ofCategory = item.category_type === 'agents' ? item.category_name : undefined
  return nonEmpty(extraOf(item)?.teammate_name) ?? nonEmpty(ofCategory)
}

/** The tool that an event names: `extra.tool_name`. */
export function toolOf (item: JsonObject): string | undefined {
  return nonEmpty(extraOf(item)?.tool_name)
}

/** The session of an event: `extra.session_id`, otherwise `session_id`. */
export function sessionOf (item: JsonObject): string | undefined {
  return nonEmpty(extraOf(item)?.session_id) ?? nonEmpty(item.session_id)
}

/** Whether a user wrote the event: it says so, or it is a message of no agent that does not deny it. */
export function isUserMessage (item: JsonObject): boolean {
  const marked = extraOf(item)?.is_user_message
  if (typeof marked === 'boolean') return marked
  const category = lowerText(item.category_type)
  const isOfMachine = [...TRIGGER_CATEGORIES, ...WEBHOOK_CATEGORIES, ...TOOL_CATEGORIES, 'agents', 'ai']
  return lowerText(item.resource_type) === 'message' && !isOfMachine.includes(category)
}

/** A text as a title: its first 200 UTF-16 code units, without half of a surrogate pair at the end. */
export function titleOf (text: string): string {
  if (text.length <= LONGEST_TITLE) return text
  const splitsPair = isHighSurrogate(text.charCodeAt(LONGEST_TITLE - 1)) && isLowSurrogate(text.charCodeAt(LONGEST_TITLE))
  return text.slice(0, splitsPair ? LONGEST_TITLE - 1 : LONGEST_TITLE)
}

function kindOf (item: JsonObject, wrapperType: string | undefined): NarrativeKind {
  if (isUserMessage(item)) return 'user_message'
  const category = lowerText(item.category_type)
  const resource = lowerText(item.resource_type)
  if (TRIGGER_CATEGORIES.includes(category)) return 'trigger'
  if (WEBHOOK_CATEGORIES.includes(category) || resource === 'webhook') return 'webhook'
  if (wrapperType === 'tool') return 'tool_call'
  if (wrapperType === 'tool_output') return 'tool_output'
  if (category === 'ai') return 'ai'
  if (isOfTool(item) || toolOf(item) !== undefined) {
    return CALLS.includes(lowerText(item.action_type)) ? 'tool_call' : 'tool_output'
  }
  return resource === 'message' ? 'agent_message' : 'system'
}

function isOfTool (item: JsonObject): boolean {
  return lowerText(item.resource_type) === 'tool execution' || TOOL_CATEGORIES.includes(lowerText(item.category_type))
}

/**
 * The tool that the form of a text names. Where only the category says that a tool ran, `resource_text` is its name
 * (docs/kubiya-api.md §2.6).
 */
function toolByForm (item: JsonObject, form: { readonly tool: string | undefined } | undefined): string | undefined {
  if (form !== undefined) return form.tool
  return TOOL_CATEGORIES.includes(lowerText(item.category_type)) ? nonEmpty(item.resource_text) : undefined
}

/**
 * A tool call that an agent also sent as a message: `Tool: <name> … Arguments: …`. A user's message is never one: no
 * user may hide what was asked.
 */
function readDouble (item: JsonObject, text: string): { readonly tool: string | undefined } | undefined {
  if (lowerText(item.resource_type) !== 'message' || !text.startsWith('Tool:') || isUserMessage(item)) return undefined
  const head = text.slice('Tool:'.length, LOOKED_AT_CHARACTERS)
  const end = head.indexOf('Arguments:')
  if (end < 0) return undefined
  const [name = ''] = head.slice(0, end).trim().split('\n', 1)
  return { tool: nonEmpty(name.trim()) }
}

/** The text of an event: `resource_text`, otherwise the first field of `extra` that usually holds one. */
function ownText (item: JsonObject): string {
  const text = textOf(item.resource_text)
  const extra = extraOf(item)
  if (text !== '' || extra === undefined) return text
  const isOutput = isOfTool(item)
  for (const name of isOutput ? OUTPUT_FIELDS : MESSAGE_FIELDS) {
    const found = isOutput ? textOf(extra[name]) : scalarText(extra[name]) ?? ''
    if (found !== '') return found
  }
  return ''
}

function textOf (value: Json | undefined): string {
  return value === undefined || value === null ? '' : scalarText(value) ?? writeJson(value)
}

function extraOf ({ extra }: JsonObject): JsonObject | undefined {
  return isJsonObject(extra) ? extra : undefined
}

/** A scalar as text. `undefined`: it is missing or empty. */
function nonEmpty (value: Json | undefined): string | undefined {
  const text = scalarText(value)
  return text === '' ? undefined : text
}

function lowerText (value: Json | undefined): string {
  return typeof value === 'string' && value.length <= LONGEST_TITLE ? value.toLowerCase() : ''
}

function isHighSurrogate (unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}

function isLowSurrogate (unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff
}
