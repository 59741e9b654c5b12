import { Type, type Static } from '@sinclair/typebox'
import type { Instant } from './instant.ts'
import { extentOf, type JsonObject } from './exact-json.ts'

const field = (options: object) => Type.Optional(Type.Unsafe<unknown>(options))

/**
 * An audit event as it is published: the upstream item with `id` set, every other field as Kubiya gave it. An `id` of
 * Kubiya's that does not count stands in `upstream_id`. No field but `id` is certain, and none has a certain type. So
 * this describes and does not validate (docs/kubiya-api.md §2.3: 12 fields seen by two clients, unknown ones to be
 * passed through).
 */
export const PublishedEvent = Type.Object({
  id: Type.String({
    minLength: 1,
    description: "Identifies the event, wherever and whenever it is met. Kubiya's own id where it gives one that " +
      "counts, otherwise computed from the event's content and carrying its instant. At most 200 UTF-16 code units of " +
      'any script; percent-encode it in a path.',
    examples: ['kab1.1748942047218334000.kJ0mZ1m7w2cYH6cXGk1zZQ']
  }),
  timestamp: field({
    description: 'When it happened: RFC 3339, 0–9 fraction digits, any offset; without an offset it is UTC.',
    examples: ['2025-06-03T09:14:07.218334Z']
  }),
  org: field({ description: 'The organisation.', examples: ['acme'] }),
  email: field({ description: 'The acting user; may be empty.', examples: ['user1@acme.test'] }),
  version: field({ description: 'Version of the item\'s form, as Kubiya gives it.', examples: [1] }),
  category_type: field({ description: 'Kind of the thing that acted.', examples: ['agents'] }),
  category_name: field({
    description: "Name of the thing that acted, such as an agent's.",
    examples: ['DevOps Helper']
  }),
  resource_type: field({ description: 'Kind of the thing acted on.', examples: ['Tool Execution'] }),
  resource_text: field({
    description: 'Message text, tool output or a name; may be long.',
    examples: ['deployment.apps/billing restarted']
  }),
  action_type: field({ description: 'What was done.', examples: ['executed'] }),
  action_successful: field({ description: 'Whether it succeeded; missing or null means unknown.', examples: [true] }),
  extra: field({
    description: 'Further data by kind, usually with `session_id`.',
    examples: [{ session_id: '5b0c1c7e-6c1d-4d0e-9a64-0f6f5d2f8a11', tool_name: 'kubectl_restart' }]
  }),
  scope: field({ description: 'Kubiya\'s own scope of the event, where given.', examples: ['org'] }),
  upstream_id: field({
    description: "Kubiya's `id` where that cannot be the event's id. `upstream_id_2` and so on where the event has a " +
      'field of that name already.',
    examples: ['../x']
  })
}, {
  $id: 'AuditEvent',
  additionalProperties: true,
  description: 'An audit event: the item as Kubiya gave it, with `id` always set. Further fields may be present.'
})
export type PublishedEvent = Static<typeof PublishedEvent>

/** How other schemas name it. */
export const PublishedEventRef = Type.Unsafe<PublishedEvent>({ $ref: 'AuditEvent#' })

/** An audit event inside this service: what it means, and the bytes that everyone gets. */
export interface AuditEvent {
  readonly id: string
  /** `undefined` when the upstream item has no readable timestamp. */
  readonly instant: Instant | undefined
  readonly item: JsonObject
  /** The published event as JSON text: `id` first, then the other fields, sorted, a moved `id` among them. */
  readonly json: string
}

const BYTES_OF_A_VALUE = 32

/**
 * What an event counts as wherever bytes of events are bounded: the length of its JSON, or 32 bytes for each of its
 * values where that is more. An array of empty arrays takes two characters a value, and a hundred bytes of memory.
 */
export function weightOf ({ json }: Pick<AuditEvent, 'json'>): number {
  return Math.max(json.length, BYTES_OF_A_VALUE * extentOf(json).values)
}
