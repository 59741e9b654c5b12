import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { ResponseMemory } from '../../archive/response-memory.ts'
import type { Archive } from '../../archive/archive.ts'
import type { PageQuery } from '../../archive/page-query.ts'
import type { Missing, CacheResult } from '../../archive/response-cache.ts'
import type { Requester } from '../../audit/requester.ts'
import { isPossibleId } from '../../audit/event-id.ts'
import { formatInstant } from '../../audit/instant.ts'
import type { Failure } from '../../audit/source.ts'
import { checkNumbers } from '../number-parameters.ts'
import { sendFailure, sendFaults, sendProblem } from '../../problems.ts'
import { ListQuery, SearchQuery, readPageQuery } from '../parameters.ts'
import { cachedAnswer, notModifiedAnswer, problemAnswers } from '../response-schemas.ts'
import { createCachedSender, wantsNoCache, type CachedSenderOptions } from '../send-cached.ts'

export interface EventRoutesOptions {
  /** The past as the caller may see it. */
  readonly archiveOf: (request: FastifyRequest) => Archive
  readonly responseHeaders: CachedSenderOptions['responseHeaders']
  readonly memory: Pick<ResponseMemory, 'hold'>
  /** Whose share it is, where Kubiya has to be asked. */
  readonly requesterOf: (request: FastifyRequest) => Requester
  /** Milliseconds since 1970, for relative times. */
  readonly clockOf: (request: FastifyRequest) => number
  /** Under which path a proxy offers the service to this request. */
  readonly prefixOf: (request: FastifyRequest) => string
  /** Whether Kubiya is asked with the callers' own credentials: what it refuses is refused to them. */
  readonly isPassthrough: boolean
}

const MOST_KNOWN = 1000
const LONGEST_KNOWN = 2048

/** The past over HTTP: list, search, describe. */
export const eventRoutes: FastifyPluginAsyncTypebox<EventRoutesOptions> = async (
  app,
  { archiveOf, requesterOf, responseHeaders, clockOf, isPassthrough, memory, prefixOf }
) => {
  const known = new LRUCache<string, PageQuery>({ max: MOST_KNOWN }) // By the URL as it was written, behind the prefix.
  const send = createCachedSender({ archiveOf, responseHeaders })

  app.get('/events', {
    schema: {
      operationId: 'listEvents',
      summary: 'List audit events',
      description:
        'A page of events, newest first by default. Follow `next` for the rest; stream from `live_cursor` for what ' +
          'comes.',
      tags: ['events'],
      querystring: ListQuery,
      response: { 200: cachedAnswer('EventPage', 'A page of events.'), 304: notModifiedAnswer, ...problemAnswers }
    },
    preValidation: recall
  }, (request, reply) => read('list', request.query, request, reply))

  app.get('/events/search', {
    schema: {
      operationId: 'searchEvents',
      summary: 'Search audit events',
      description:
        "Like the list, and by `text`. Kubiya's pages are scanned until the page is full or the scan limit is " +
          'reached; `search_summary` says how far that went.',
      tags: ['events'],
      querystring: SearchQuery,
      response: { 200: cachedAnswer('SearchPage', 'A page of matches.'), 304: notModifiedAnswer, ...problemAnswers }
    },
    preValidation: recall
  }, (request, reply) => read('search', request.query, request, reply))

  app.get('/events/:id', {
    schema: {
      operationId: 'describeEvent',
      summary: 'Describe an audit event',
      description:
        'One event by its `id`, percent-encoded: `a/b` is `a%2Fb`. A computed id is found at any age; another ' +
        'one is asked for by id, then looked for in the last seven days. One that holds `/`, `\\`, `%`, `?` or `#` is ' +
        'looked for in the live log instead of being asked for.',
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
  }, (request, reply) => {
    const { id } = request.params
    if (!isPossibleId(id)) {
      return sendFaults(reply, 'invalid-parameter', [{ parameter: 'id', message: "is no event's id" }])
    }
    return answer(request, reply, archiveOf(request).describe(id, wantsNoCache(request.headers), requesterOf(request)))
  })

  /** What was asked in these very words before need not be read and judged again. */
  function recall (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
    const question = known.get(prefixOf(request) + request.url)
    if (question === undefined) return checkNumbers(request, reply, done)
    answer(request, reply, archiveOf(request).page(question, wantsNoCache(request.headers), requesterOf(request)))
      ?.catch(done)
  }

  function read (
    operation: PageQuery['operation'],
    query: SearchQuery,
    request: FastifyRequest,
    reply: FastifyReply
  ): Promise<void> | undefined {
    const reading = readPageQuery(operation, query, clockOf(request))
    if (!reading.ok) {
      sendFaults(reply, reading.code, reading.errors)
      return
    }
    const prefix = prefixOf(request)
    const question = prefix === '' ? reading.question : { ...reading.question, prefix }
    if (reading.isLasting && request.url.length <= LONGEST_KNOWN) known.set(prefix + request.url, question)
    return answer(
      request,
      reply,
      archiveOf(request).page(question, wantsNoCache(request.headers), requesterOf(request))
    )
  }

  /** Without a promise in between where all is at hand. */
  function answer (
    request: FastifyRequest,
    reply: FastifyReply,
    outcome: CacheResult | Promise<CacheResult | Failure>
  ): Promise<void> | undefined {
    return outcome instanceof Promise
      ? outcome.then((each) => conclude(request, reply, each))
      : conclude(request, reply, outcome)
  }

  /**
   * An answer that is not with the system at once stays in memory as long as its caller likes: it is counted until
   * then.
   */
  function sendHeld (request: FastifyRequest, reply: FastifyReply, served: CacheResult): Promise<void> | undefined {
    const sending = send(request, reply, served)
    const { destroyed, writableLength } = request.raw.socket
    if (destroyed || (sending === undefined && writableLength === 0)) return sending
    const release = memory.hold(served.entry, served.entry.body.length)
    reply.raw.on('close', release)
    return sending
  }

  function conclude (
    request: FastifyRequest,
    reply: FastifyReply,
    outcome: CacheResult | Failure
  ): Promise<void> | undefined {
    if (outcome.ok && outcome.entry.missing === undefined) return sendHeld(request, reply, outcome)
    if (!outcome.ok) sendFailure(reply, outcome, isPassthrough)
    else if (outcome.entry.missing !== undefined) sendMissing(reply, outcome.entry.missing)
  }
}

function sendMissing (reply: FastifyReply, { complete, scanned, window }: Missing): FastifyReply {
  const [start, end] = [window.start ?? 0n, window.end ?? window.start ?? 0n].map(formatInstant)
  const extent = complete ? 'all of them' : 'not all of them'
  const detail = `No such event: ${scanned} events from ${start} to ${end} were looked at, ${extent}.`
  return sendProblem(reply, 'not-found', detail, {
    window: { start_time: start ?? '', end_time: end ?? '' },
    scanned,
    complete
  })
}
