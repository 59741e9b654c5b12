import { Type } from '@sinclair/typebox'
import { PublishedEventRef } from '../audit/event.ts'
import { cachedAnswer, notModifiedAnswer } from './response-schemas.ts'

/** The answer of Kubiya's list. */
export const KubiyaItems = Type.Array(PublishedEventRef, { $id: 'KubiyaItems', description: 'A page of events.' })

const KubiyaErrorRef = Type.Unsafe({ $ref: 'KubiyaError#' })
const errorAnswer = (description: string) => ({
  description,
  content: { 'application/json': { schema: KubiyaErrorRef } }
})

const errorAnswers = {
  '4xx': errorAnswer('The request is invalid, denied, or finds nothing.'),
  '5xx': errorAnswer('Kubiya or this service cannot answer now.')
}

const text = (description: string, ...examples: string[]) => Type.Optional(Type.String({ description, examples }))

/** For the documents: `readItemsQuery` reads the query string. */
export const itemsSchema = {
  operationId: 'listKubiyaItems',
  summary: "List audit events as Kubiya's own API does",
  description:
    'For programs that speak the API of Kubiya. The answer is a bare array. A page is short only at the end, except ' +
      'that a search ends at the scan limit, with `x-scan-complete: false`.',
  tags: ['compatible'],
  querystring: Type.Object({
    filter: text(
      'A JSON object with `timestamp` (`gte`, `lte`) and any of `category_type`, `category_name`, `resource_type`, ' +
        '`action_type`, `session_id`, `extra.session_id`, `email`, `extra.tool_name`.',
      '{"timestamp":{"gte":"2025-06-03T00:00:00Z"},"category_type":"agents"}'
    ),
    sort: text('`{"timestamp":-1}` (default) or `{"timestamp":1}`.', '{"timestamp":-1}'),
    page: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Number of the page; default 1.' })
    ),
    page_size: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000, description: 'Rows of a page; default 50.' })),
    search_text: text('Only events that contain this text. Pages count matches.'),
    status_filter: text('`success` or `failed`. Pages count matches.'),
    timeout_minutes: text('Ignored.'),
    verbose: text('Ignored.')
  }),
  response: { 200: cachedAnswer('KubiyaItems', 'A page of events.'), 304: notModifiedAnswer, ...errorAnswers }
}

export const itemSchema = {
  operationId: 'getKubiyaItem',
  summary: "Describe an audit event as Kubiya's own API does",
  description: 'One event by its `id`, percent-encoded.',
  tags: ['compatible'],
  params: Type.Object({ id: Type.String({ description: "The event's `id`." }) }),
  response: { 200: cachedAnswer('AuditEvent', 'The event.'), 304: notModifiedAnswer, ...errorAnswers }
}
