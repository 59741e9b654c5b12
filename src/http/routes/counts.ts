import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RateLimits } from '../../access/rate-limits.ts'
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
import { checkNumbers } from '../parameters.ts'
import { sendFaults } from '../problem-reply.ts'
import { cachedAnswer, notModifiedAnswer, problemAnswers } from '../response-schemas.ts'
import { requestContextOf, type SendResult } from '../send-result.ts'

export interface CountRoutesOptions {
  readonly send: SendResult
  readonly limits: RateLimits
  /** The path under which a proxy offers the service. */
  readonly prefixOf: (request: FastifyRequest) => string
}

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
export const countRoutes: FastifyPluginAsyncTypebox<CountRoutesOptions> = async (app, { limits, prefixOf, send }) => {
  app.get('/summary', {
    schema: schemaOf(
      'getSummary',
      'Summarize audit events',
      'Totals, success rate, users and sessions of a window, and the most frequent values of each field.',
      SummaryQuery,
      'Summary'
    ),
    preValidation: checkNumbers
  }, (request, reply) => answer(request, reply, readSummaryQuery(request.query, tenantOf(request).clock())))

  app.get('/timeline', {
    schema: schemaOf(
      'getTimeline',
      'Count audit events over time',
      'The events of each bucket of a window, empty buckets included. Buckets are multiples of their width since 1970.',
      TimelineQuery,
      'Timeline'
    ),
    preValidation: checkNumbers
  }, (request, reply) => answer(request, reply, readTimelineQuery(request.query, tenantOf(request).clock())))

  app.get('/facets', {
    schema: schemaOf(
      'getFacets',
      'Count the values of fields',
      'The values of each field with counts, under all filters but that of the field itself.',
      FacetsQuery,
      'Facets'
    ),
    preValidation: checkNumbers
  }, (request, reply) => answer(request, reply, readFacetsQuery(request.query, tenantOf(request).clock())))

  app.get('/sessions', {
    schema: schemaOf(
      'listSessions',
      'List sessions',
      'Sessions with at least one matching event. The figures of a session are of all its events in the window.',
      SessionsQuery,
      'SessionPage'
    ),
    preValidation: checkNumbers
  }, (request, reply) =>
    answer(request, reply, readSessionsQuery(request.query, tenantOf(request).clock(), prefixOf(request))))

  function answer (request: FastifyRequest, reply: FastifyReply, reading: CountReading): Promise<void> | undefined {
    if (reading.ok) {
      return send(request, reply, tenantOf(request).archive.count(reading.query, requestContextOf(request, limits)))
    }
    sendFaults(reply, reading.code, reading.errors)
    return undefined
  }
}
