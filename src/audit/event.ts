import { Type, type Static } from '@sinclair/typebox'
import type { Instant } from './instant.ts'
import { extentOf, type JsonObject } from './exact-json.ts'

const field = (options: object) => Type.Optional(Type.Unsafe<unknown>(options))

/**
 * An audit event as it is published: the upstream item with `id` set, and every other field unchanged. An unusable `id`
 * of Kubiya's is moved to `upstream_id`. Only `id` is certain to be present, and no field has a certain type, so this
 * schema describes and does not validate. docs/kubiya-api.md §2.3 lists the 12 known fields; unknown fields pass
 * through.
 */
export const PublishedEvent = Type.Object({
  id: Type.String({
    minLength: 1,
    description: "Identifies the event in every response and stream. It is Kubiya's own id if that is usable. " +
      "Otherwise it is computed from the event's timestamp and content. At most 200 UTF-16 code units of any script; " +
      'percent-encode it in a path.',
    examples: ['kab1.1748942047218334000.kJ0mZ1m7w2cYH6cXGk1zZQ']
  }),
  timestamp: field({
    description: 'When the event happened: RFC 3339, 0–9 fraction digits, any offset. Without an offset it is UTC.',
    examples: ['2025-06-03T09:14:07.218334Z']
  }),
  org: field({ description: 'The organisation.', examples: ['acme'] }),
  email: field({ description: 'The acting user. May be empty.', examples: ['user1@acme.test'] }),
  version: field({ description: "Version of the item's format, as Kubiya sends it.", examples: [1] }),
  category_type: field({ description: 'Kind of the actor.', examples: ['agents'] }),
  category_name: field({
    description: 'Name of the actor, for example of an agent.',
    examples: ['DevOps Helper']
  }),
  resource_type: field({ description: 'Kind of the resource that was acted on.', examples: ['Tool Execution'] }),
  resource_text: field({
    description: 'Message text, tool output or a name. May be long.',
    examples: ['deployment.apps/billing restarted']
  }),
  action_type: field({ description: 'The action.', examples: ['executed'] }),
  action_successful: field({
    description: 'Whether the action succeeded. Missing or null means unknown.',
    examples: [true]
  }),
  extra: field({
    description: 'Further data, which depends on the kind of event; usually with `session_id`.',
    examples: [{ session_id: '5b0c1c7e-6c1d-4d0e-9a64-0f6f5d2f8a11', tool_name: 'kubectl_restart' }]
  }),
  scope: field({ description: "Kubiya's own scope of the event, if present.", examples: ['org'] }),
  upstream_id: field({
    description: "Kubiya's `id`, if it cannot be used as the event's id. The name is `upstream_id_2` (and so on) if " +
      'the event already has a field `upstream_id`.',
    examples: ['../x']
  })
}, {
  $id: 'AuditEvent',
  additionalProperties: true,
  description: 'An audit event: the item as Kubiya sent it, with `id` always set. Other fields may be present.'
})
export type PublishedEvent = Static<typeof PublishedEvent>

/** A reference to the schema, for use in other schemas. */
export const PublishedEventRef = Type.Unsafe<PublishedEvent>({ $ref: 'AuditEvent#' })

/** An audit event inside this service: its parsed values, and the JSON text that every client receives. */
export interface AuditEvent {
  readonly id: string
  /** `undefined` when the upstream item has no readable timestamp. */
  readonly instant: Instant | undefined
  readonly item: JsonObject
  /** The published event as JSON text: `id` first, then the other fields in sorted order. */
  readonly json: string
}

const BYTES_OF_A_VALUE = 32

/**
 * The bytes that an event counts for in every bound: the length of its JSON, or 32 bytes for each value if that is
 * more. An array of empty arrays takes two characters of text for each value, but a hundred bytes of memory.
 */
export function weightOf ({ json }: Pick<AuditEvent, 'json'>): number {
  return Math.max(json.length, BYTES_OF_A_VALUE * extentOf(json).values)
}
