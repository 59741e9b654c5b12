import { Type, type Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { createConversationQuery, type ConversationQuery } from '../../archive/conversation-query.ts'
import { decodeCursor } from '../../audit/cursor.ts'
import { AuditFilter, FILTER_VALUE_CHARACTERS, isFilter } from '../../audit/filter.ts'
import { EntryKind } from '../../audit/session.ts'
import { tenantOf } from '../authenticate.ts'
import { checkNumbers, cursor as cursorParameter, cursorFault, fault, type Fault } from '../parameters.ts'
import { sendFaults } from '../problem-reply.ts'
import { cachedAnswer, notModifiedAnswer, problemAnswers } from '../response-schemas.ts'
import { requestContextOf, type CachedRoutesOptions } from '../send-result.ts'

const LARGEST_PAGE = 1000
const DEFAULT_PAGE_SIZE = 200

const { status, text } = AuditFilter.properties

const ConversationParameters = Type.Object({
  page_size: Type.Optional(Type.Integer({
    minimum: 1,
    maximum: LARGEST_PAGE,
    description: `Largest number of entries on a page; default ${DEFAULT_PAGE_SIZE}.`,
    examples: [DEFAULT_PAGE_SIZE]
  })),
  cursor: cursorParameter(
    'Position of the next page, from `next_cursor`. It contains the whole query: send no other parameter.'
  ),
  text,
  status,
  kind: Type.Optional(EntryKind)
}, { additionalProperties: false })
type ConversationParameters = Static<typeof ConversationParameters>

const conversationSchema = {
  operationId: 'readSession',
  summary: 'Read one session as a conversation',
  description:
    'The events of one session, oldest first and of any age, with what each of them says. `session` has the figures ' +
      'of all its events, whatever the filter; `coverage` tells how many of them were counted.',
  tags: ['events'],
  params: Type.Object({
    id: Type.String({
      description: "The session's id, percent-encoded: `a/b` is `a%2Fb`.",
      examples: ['5b0c1c7e-6c1d-4d0e-9a64-0f6f5d2f8a11']
    })
  }),
  querystring: ConversationParameters,
  response: {
    200: cachedAnswer('ConversationPage', 'A page of the session.'), 304: notModifiedAnswer, ...problemAnswers
  }
}

/** Sessions over HTTP. */
export const sessionRoutes: FastifyPluginAsyncTypebox<CachedRoutesOptions> = async (
  app,
  { limits, prefixOf, send }
) => {
  app.get('/sessions/:id', { schema: conversationSchema, preValidation: checkNumbers }, (request, reply) => {
    const reading = readConversationQuery(request.params.id, request.query, prefixOf(request))
    if ('ok' in reading) {
      sendFaults(reply, reading.code, reading.errors)
      return
    }
    return send(request, reply, tenantOf(request).archive.conversation(reading, requestContextOf(request, limits)))
  })
}

function readConversationQuery (
  id: string,
  parameters: ConversationParameters,
  prefix: string
): ConversationQuery | Fault {
  if (id === '' || id.length > FILTER_VALUE_CHARACTERS) {
    return fault('invalid-parameter', ['id', `must have 1 to ${FILTER_VALUE_CHARACTERS} characters`])
  }
  const { cursor, kind, page_size: pageSize = DEFAULT_PAGE_SIZE, status, text } = parameters
  if (cursor !== undefined) return followCursor(id, parameters, cursor, prefix)
  const filter = { session_id: id, ...status !== undefined && { status }, ...text !== undefined && { text } }
  return createConversationQuery({ id, filter, page: 1, pageSize, prefix, ...kind !== undefined && { kind } })
}

function followCursor (
  id: string,
  parameters: ConversationParameters,
  text: string,
  prefix: string
): ConversationQuery | Fault {
  const combined = cursorFault(parameters)
  if (combined !== undefined) return combined
  const cursor = decodeCursor(text)
  const isValid = cursor?.kind === 'page' && cursor.operation === 'session' && cursor.direction === 'asc' &&
    isFilter(cursor.filter, { session_id: true, status: true, text: true }) && cursor.filter.session_id === id &&
    cursor.pageSize >= 1 && cursor.pageSize <= LARGEST_PAGE && cursor.page >= 1
  if (!isValid) return fault('invalid-cursor', ['cursor', 'is no cursor of this session'])
  const { after, entryKind: kind, filter, page, pageSize, skip } = cursor
  return createConversationQuery({ id, filter, page, pageSize, after, skip, prefix, ...kind !== undefined && { kind } })
}
