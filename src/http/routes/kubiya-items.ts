import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { RateLimits } from '../../access/rate-limits.ts'
import { isPossibleId } from '../../audit/event-id.ts'
import { tenantOf } from '../authenticate.ts'
import { itemSchema, itemsSchema } from '../kubiya-schemas.ts'
import { readItemsQuery } from '../kubiya-query.ts'
import { sendFaults, sendProblem } from '../problem-reply.ts'
import { requestContextOf, type SendResult } from '../send-result.ts'

export interface KubiyaItemRoutesOptions {
  readonly limits: RateLimits
  readonly send: SendResult
}

/** Kubiya's own stream. No client is known to read it as it is, so it is not served. */
const KUBIYA_STREAM = 'stream'

/**
 * Kubiya's own routes, for programs that know no others: the list as a bare array, and one event. Parameters and errors
 * are Kubiya's too. Handlers return a promise only if they wait for something.
 */
export const kubiyaItemRoutes: FastifyPluginAsync<KubiyaItemRoutesOptions> = async (
  app,
  { limits, send }
) => {
  // The query string is read as a whole: its schema is for the documents alone.
  app.setValidatorCompiler(() => () => true)

  app.get('/items', { schema: itemsSchema }, (request, reply) => {
    const query = readItemsQuery(searchOf(request))
    if (Array.isArray(query)) {
      sendFaults(reply, 'invalid-parameter', query)
      return
    }
    return send(request, reply, tenantOf(request).archive.page(query, contextOf(request)))
  })

  app.get<{ Params: { id: string } }>('/items/:id', { schema: itemSchema }, (request, reply) => {
    const { id } = request.params
    const [parameter] = new URLSearchParams(searchOf(request)).keys()
    if (id === '' || id === KUBIYA_STREAM) sendProblem(reply, 'not-found', 'No such route.')
    else if (parameter !== undefined) {
      sendFaults(reply, 'invalid-parameter', [{ parameter, message: 'is not a parameter of this route' }])
    } else if (!isPossibleId(id)) {
      sendFaults(reply, 'invalid-parameter', [{ parameter: 'id', message: "is no event's id" }])
    } else return send(request, reply, tenantOf(request).archive.describe(id, contextOf(request)))
  })

  function contextOf (request: FastifyRequest) {
    return requestContextOf(request, limits)
  }
}

/** The query string as it was written. */
function searchOf ({ raw: { url = '' } }: FastifyRequest): string {
  const start = url.indexOf('?')
  return start < 0 ? '' : url.slice(start + 1)
}
