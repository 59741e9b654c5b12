import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { tenantOf } from '../authenticate.ts'
import {
  FacetsQuery,
  SessionsQuery,
  SummaryQuery,
  TimelineQuery,
  readFacetsQuery,
  readSessionsQuery,
  readSummaryQuery,
  readTimelineQuery,
  type CountReading
} from '../count-parameters.ts'
import { takeValid } from '../parameters.ts'
import { sendFaults } from '../problem-reply.ts'
import { cachedAnswer, notModifiedAnswer, problemAnswers } from '../response-schemas.ts'
import { requestContextOf, type CachedRoutesOptions } from '../send-result.ts'

const COVERAGE = 'The events of the last `AGGREGATE_HOURS` are counted in memory. `coverage` tells what was counted.'

function schemaOf<Query> (operationId: string, summary: string, description: string, query: Query, answer: string) {
  return {
    operationId,
    summary,
    description: `${description} ${COVERAGE}`,
    tags: ['counts'],
    querystring: query,
    response: { 200: cachedAnswer(answer, 'The counts.'), 304: notModifiedAnswer, ...problemAnswers }
  }
}

/** Counts over HTTP. */
export const countRoutes: FastifyPluginAsyncTypebox<CachedRoutesOptions> = async (app, { limits, prefixOf, send }) => {
  app.get('/summary', {
    schema: schemaOf(
      'getSummary',
      'Summarize audit events',
      'Totals, success rate, users and sessions of a window, and the most frequent values of each field.',
      SummaryQuery,
      'Summary'
    ),
    attachValidation: true
  }, (request, reply) => answer<SummaryQuery>(request, reply, readSummaryQuery))

  app.get('/timeline', {
    schema: schemaOf(
      'getTimeline',
      'Count audit events over time',
      'The events of each bucket of a window, empty buckets included. Buckets are multiples of their width since 1970.',
      TimelineQuery,
      'Timeline'
    ),
    attachValidation: true
  }, (request, reply) => answer<TimelineQuery>(request, reply, readTimelineQuery))

  app.get('/facets', {
    schema: schemaOf(
      'getFacets',
      'Count the values of fields',
      'The values of each field with counts, under all filters but that of the field itself.',
      FacetsQuery,
      'Facets'
    ),
    attachValidation: true
  }, (request, reply) => answer<FacetsQuery>(request, reply, readFacetsQuery))

  app.get('/sessions', {
    schema: schemaOf(
      'listSessions',
      'List sessions',
      'Sessions with at least one matching event. The figures of a session are of all its events in the window.',
      SessionsQuery,
      'SessionPage'
    ),
    attachValidation: true
  }, (request, reply) => answer<SessionsQuery>(request, reply, readSessionsQuery))

  /** Counts, or names everything that is wrong with the parameters. */
  function answer<Query extends object> (
    request: FastifyRequest,
    reply: FastifyReply,
    read: (parameters: Query, nowMs: number, prefix: string) => CountReading
  ): Promise<void> | undefined {
    const { archive, clock } = tenantOf(request)
    const { errors, parameters } = takeValid<Query>(request)
    const reading = read(parameters, clock(), prefixOf(request))
    if (reading.ok && errors.length === 0) {
      return send(request, reply, archive.count(reading.query, requestContextOf(request, limits)))
    }
    const more = reading.ok ? [] : reading.errors
    const code = reading.ok || errors.length > 0 ? 'invalid-parameter' : reading.code
    sendFaults(reply, code, [...errors, ...more])
    return undefined
  }
}
