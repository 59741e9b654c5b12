import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { TICKET_MS, type Tickets } from '../../access/tickets.ts'
import { sendProblem } from '../problem-reply.ts'
import { callerOf, pageOf } from '../authenticate.ts'
import { problemAnswers } from '../response-schemas.ts'

export interface TicketRoutesOptions {
  readonly tickets: Tickets
}

const Ticket = Type.Object({
  ticket: Type.String({
    description: "Value of the stream's parameter `ticket`. It is valid for one stream.",
    examples: ['oG1yT8kq2cXh5sVd7uLw0bZn3mQe9rAf']
  }),
  expires_in: Type.Integer({ description: 'Validity in seconds.', examples: [TICKET_MS / 1000] })
}, { description: 'A ticket.' })

/** Tickets for pages: a page cannot set `Authorization` on a WebSocket or an `EventSource`. */
export const ticketRoutes: FastifyPluginAsyncTypebox<TicketRoutesOptions> = async (app, { tickets }) => {
  app.post('/stream/tickets', {
    schema: {
      operationId: 'createStreamTicket',
      summary: 'Create a ticket for a stream',
      description:
        "A ticket replaces the caller's credential where a page cannot send it. It is valid for one stream, for 30 " +
          "seconds, and for the page's own origin. The request has no body.",
      tags: ['events'],
      querystring: Type.Object({}, { additionalProperties: false }),
      response: { 201: Ticket, ...problemAnswers }
    }
  }, async (request, reply) => {
    const ticket = tickets.issue(callerOf(request).key, request.credential, pageOf(request))
    if (ticket === undefined) {
      const detail = 'Too many unused tickets; use one, or wait until one expires.'
      return sendProblem(reply, 'rate-limited', detail, { retry_after: TICKET_MS / 1000 })
    }
    return reply.code(201).header('cache-control', 'no-store').send({ ticket, expires_in: TICKET_MS / 1000 })
  })
}
