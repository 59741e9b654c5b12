import type { IncomingHttpHeaders } from 'node:http'
import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import type { Archive } from '../archive/archive.ts'
import type { Missing } from '../archive/shelf.ts'
import { isSaneId } from '../audit/identity.ts'
import { formatInstant } from '../audit/instant.ts'
import { sendFailure, sendFaults, sendProblem } from '../problems.ts'
import { ListQuery, SearchQuery, readQuestion } from './parameters.ts'
import { cachedAnswer, notModifiedAnswer, problemAnswers } from './answers.ts'
import { sendServed, wantsNoCache } from './served.ts'

export interface ArchiveRoutesOptions {
  readonly archive: Archive
  /** Milliseconds since 1970, for relative times. */
  readonly clock: () => number
}

/** The past over HTTP: list, search, describe. */
export const archiveRoutes: FastifyPluginAsyncTypebox<ArchiveRoutesOptions> = async (app, { archive, clock }) => {
  app.get('/events', {
    schema: {
      operationId: 'listEvents',
      summary: 'List audit events',
      description: 'A page of events, newest first by default. Follow `next` for the rest; stream from `live_cursor` for what comes.',
      tags: ['events'],
      querystring: ListQuery,
      response: { 200: cachedAnswer('EventPage', 'A page of events.'), 304: notModifiedAnswer, ...problemAnswers }
    }
  }, (request, reply) => sendPage('list', request.query, request.headers, reply))

  app.get('/events/search', {
    schema: {
      operationId: 'searchEvents',
      summary: 'Search audit events',
      description: 'Like the list, and by `text`. Kubiya\'s pages are scanned until the page is full or the scan limit is reached; `search_summary` says how far that went.',
      tags: ['events'],
      querystring: SearchQuery,
      response: { 200: cachedAnswer('SearchPage', 'A page of matches.'), 304: notModifiedAnswer, ...problemAnswers }
    }
  }, (request, reply) => sendPage('search', request.query, request.headers, reply))

  app.get('/events/:id', {
    schema: {
      operationId: 'describeEvent',
      summary: 'Describe an audit event',
      description: 'One event by its `id`. A computed id is found at any age; another one is asked for by id, then looked for in the last seven days.',
      tags: ['events'],
      params: Type.Object({ id: Type.String({ description: 'The event\'s `id`.', examples: ['kab1.1748942047218334000.kJ0mZ1m7w2cYH6cXGk1zZQ'] }) }),
      querystring: Type.Object({}, { additionalProperties: false }),
      response: { 200: cachedAnswer('AuditEvent', 'The event.'), 304: notModifiedAnswer, ...problemAnswers }
    }
  }, async (request, reply) => {
    const { id } = request.params
    if (!isSaneId(id)) return sendFaults(reply, 'invalid-parameter', [{ parameter: 'id', message: 'is no event\'s id' }])
    const served = await archive.describe(id, wantsNoCache(request.headers))
    if (!served.ok) return sendFailure(reply, served)
    return served.entry.missing === undefined ? sendServed(request.headers, reply, served) : sendMissing(reply, served.entry.missing)
  })

  async function sendPage (operation: 'list' | 'search', query: SearchQuery, headers: IncomingHttpHeaders, reply: FastifyReply): Promise<FastifyReply> {
    const read = readQuestion(operation, query, clock())
    if (!read.ok) return sendFaults(reply, read.code, read.errors)
    const served = await archive.page(read.question, wantsNoCache(headers))
    return served.ok ? sendServed(headers, reply, served) : sendFailure(reply, served)
  }
}

function sendMissing (reply: FastifyReply, { complete, scanned, window }: Missing): FastifyReply {
  const [start, end] = [window.start ?? 0n, window.end ?? window.start ?? 0n].map(formatInstant)
  const extent = complete ? 'all of them' : 'not all of them'
  const detail = `No such event: ${scanned} events from ${start} to ${end} were looked at, ${extent}.`
  return sendProblem(reply, 'not-found', detail, { window: { start_time: start ?? '', end_time: end ?? '' }, scanned, complete })
}
