import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { PageQuery } from '../../archive/page-query.ts'
import type { RequestContext } from '../../archive/response-cache.ts'
import { isPossibleId } from '../../audit/event-id.ts'
import { tenantOf } from '../authenticate.ts'
import { sendFaults } from '../problem-reply.ts'
import { ListQuery, SearchQuery, readPageQuery } from '../list-parameters.ts'
import { checkNumbers } from '../parameters.ts'
import { cachedAnswer, notModifiedAnswer, problemAnswers } from '../response-schemas.ts'
import { requestContextOf, type CachedRoutesOptions } from '../send-result.ts'

const MAX_REMEMBERED_QUERIES = 1000
const LONGEST_REMEMBERED_URL = 2048

const listSchema = {
  operationId: 'listEvents',
  summary: 'List audit events',
  description:
    'A page of events, newest first by default. Follow `next` for more pages; stream from `live_cursor` for new ' +
      'events.',
  tags: ['events'],
  querystring: ListQuery,
  response: { 200: cachedAnswer('EventPage', 'A page of events.'), 304: notModifiedAnswer, ...problemAnswers }
}

const searchSchema = {
  operationId: 'searchEvents',
  summary: 'Search audit events',
  description:
    "Like the list, and filtered by `text`. Kubiya's pages are scanned until the page is full or the scan limit is " +
      'reached; `search_summary` tells how far the scan went.',
  tags: ['events'],
  querystring: SearchQuery,
  response: { 200: cachedAnswer('SearchPage', 'A page of matches.'), 304: notModifiedAnswer, ...problemAnswers }
}

const describeSchema = {
  operationId: 'describeEvent',
  summary: 'Describe an audit event',
  description:
    'One event by its `id`, percent-encoded: `a/b` is `a%2Fb`. A computed id is found at any age. Kubiya is asked ' +
      'for any other id, and then the last seven days are scanned. An id that contains `/`, `\\`, `%`, `?` or `#` ' +
      'is looked up in the live log instead of asking Kubiya for it.',
  tags: ['events'],
  params: Type.Object({
    id: Type.String({
      description: 'The event\'s `id`, of at most 200 UTF-16 code units before it is percent-encoded.',
      examples: ['kab1.1748942047218334000.kJ0mZ1m7w2cYH6cXGk1zZQ']
    })
  }),
  querystring: Type.Object({}, { additionalProperties: false }),
  response: { 200: cachedAnswer('AuditEvent', 'The event.'), 304: notModifiedAnswer, ...problemAnswers }
}

/** The past over HTTP: list, search, describe. Handlers return a promise only if they wait for something. */
export const eventRoutes: FastifyPluginAsyncTypebox<CachedRoutesOptions> = async (app, options) => {
  const { limits, prefixOf, send } = options
  // By the URL as it was written, after the prefix. To validate and read a URL again costs 40 µs; a hit costs some 60.
  const queries = new LRUCache<string, PageQuery>({ max: MAX_REMEMBERED_QUERIES })

  const hooks = { onRequest: recall, preValidation: checkNumbers }

  app.get('/events', { schema: listSchema, ...hooks }, (request, reply) =>
    read('list', request.query, request, reply))
  app.get('/events/search', { schema: searchSchema, ...hooks }, (request, reply) =>
    read('search', request.query, request, reply))
  app.get('/events/:id', { schema: describeSchema }, (request, reply) => {
    const { id } = request.params
    if (isPossibleId(id)) return send(request, reply, tenantOf(request).archive.describe(id, contextOf(request)))
    return sendFaults(reply, 'invalid-parameter', [{ parameter: 'id', message: "is no event's id" }])
  })

  /** The last hook of authentication: answers a URL that was read before. Otherwise the request goes on. */
  function recall (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
    const query = queries.get(prefixOf(request) + request.url)
    if (query === undefined) return done()
    send(request, reply, tenantOf(request).archive.page(query, contextOf(request)))?.catch(done)
  }

  function read (
    operation: 'list' | 'search',
    parameters: SearchQuery,
    request: FastifyRequest,
    reply: FastifyReply
  ): Promise<void> | undefined {
    const prefix = prefixOf(request)
    const reading = readPageQuery(operation, parameters, tenantOf(request).clock(), prefix)
    if (!reading.ok) {
      sendFaults(reply, reading.code, reading.errors)
      return
    }
    const { isRepeatable, query } = reading
    if (isRepeatable && request.url.length <= LONGEST_REMEMBERED_URL) queries.set(prefix + request.url, query)
    return send(request, reply, tenantOf(request).archive.page(query, contextOf(request)))
  }

  function contextOf (request: FastifyRequest): RequestContext {
    return requestContextOf(request, limits)
  }
}
