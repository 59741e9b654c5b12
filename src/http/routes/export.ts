import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RateLimits } from '../../access/rate-limits.ts'
import type { Slot, StreamSlots } from '../../access/stream-slots.ts'
import { TICKET_MS, type Tickets } from '../../access/tickets.ts'
import type { ContentCoding } from '../../archive/content-encoding.ts'
import { formatInstant, type Instant } from '../../audit/instant.ts'
import { encodeExport, type ExportTotals } from '../../export/export-encoder.ts'
import type { Export } from '../../export/exports.ts'
import { formatOf } from '../../export/formats.ts'
import type { Instruments } from '../../instruments.ts'
import type { RevocableExport } from '../../tenants/access-control.ts'
import { callerOf, createRequester, queryBond, searchOf, tenantOf } from '../authenticate.ts'
import {
  exportParameters,
  readExportQuery,
  ticketedExportParameters,
  type ExportParameters,
  type ParsedExport
} from '../export-parameters.ts'
import type { Fault } from '../parameters.ts'
import { faultOf, sendFailure, sendFaults, sendProblem } from '../problem-reply.ts'
import type { ResponseHeaders } from '../response-headers.ts'
import { problemAnswers } from '../response-schemas.ts'
import { sendExport, type ExportSenderOptions, type SentExport } from '../send-export.ts'
import { negotiateEncoding } from '../content-negotiation.ts'

export interface ExportRoutesOptions extends ExportSenderOptions {
  readonly exportLimit: number
  readonly slots: StreamSlots<RevocableExport>
  readonly tickets: Tickets
  readonly limits: RateLimits
  readonly responseHeaders: Pick<ResponseHeaders, 'fixed' | 'varying'>
  readonly instruments: Pick<Instruments, 'exportBegan' | 'exportEnded'>
  /** Whether Kubiya is called with the caller's own credential. */
  readonly isPassthrough: boolean
}

const FULL_RETRY_SECONDS = 10
const END = 'Trailers: `x-export-complete` (`true` or `false`) and `x-export-next` (the cursor, or empty).'

const file = (description: string) => ({ schema: { type: 'string', description } })

const exportAnswer = {
  description: `The events, as a file. An answer without its end was cut off. ${END}`,
  headers: {
    'content-disposition': { type: 'string', description: '`attachment`, with a name that holds the window.' },
    trailer: { type: 'string', description: 'The names of the trailers.' }
  },
  content: {
    'application/x-ndjson': file(
      'One event on each line. The last line, the only one without `id`, is ' +
        '`{"export":{"complete","events","next","sha256"}}`; `sha256` covers the bytes before it. `skipped` lists ' +
        'intervals with events that could not be read, if there are any.'
    ),
    'text/csv': file('RFC 4180, with a header. Only an incomplete export ends with a line `# incomplete: … next=…`.'),
    'application/json': file(
      '`{"items":[…],"export":{…}}`; `sha256` covers the bytes before the closing bracket of `items`.'
    ),
    'text/plain': file('One line for each event. Only an incomplete export ends with a line `# incomplete: … next=…`.')
  }
}

const ExportTicket = Type.Object({
  ticket: Type.String({
    description: "Value of the export's parameter `ticket`. It is valid for one export.",
    examples: ['oG1yT8kq2cXh5sVd7uLw0bZn3mQe9rAf']
  }),
  expires_in: Type.Integer({ description: 'Validity in seconds.', examples: [TICKET_MS / 1000] })
}, { description: 'A ticket.' })

/** Exports: all events of a query in one answer, which is sent while they are read. */
export const exportRoutes: FastifyPluginAsyncTypebox<ExportRoutesOptions> = async (app, options) => {
  const { clock, exportLimit, instruments, isPassthrough, limits, responseHeaders, slots, tickets } = options

  app.get('/export', {
    exposeHeadRoute: false,
    attachValidation: true,
    schema: {
      operationId: 'exportEvents',
      summary: 'Export audit events',
      description:
        'All events of a query as one file, oldest first by default. An export that could not read everything says ' +
          'so at its end, with a cursor that continues exactly there. A caller has one export at a time.',
      tags: ['events'],
      querystring: ticketedExportParameters(exportLimit),
      response: { 200: exportAnswer, ...problemAnswers }
    }
  }, async (request, reply) => {
    const parsed = read(request)
    if (!parsed.ok) return sendFaults(reply, parsed.code, parsed.errors)
    const slot = slots.take(callerOf(request).key)
    if (slot === 'none-of-its-own') {
      return refuse(reply, 'rate-limited', 'This caller has an export in progress.')
    }
    if (slot === 'none') return refuse(reply, 'overloaded', 'This service has the maximum number of exports.')
    try {
      return await run(request, reply, parsed, slot)
    } finally {
      slot.release()
    }
  })

  app.post('/export/tickets', {
    attachValidation: true,
    schema: {
      operationId: 'createExportTicket',
      summary: 'Create a ticket for an export',
      description:
        "A ticket replaces the caller's credential in the link of a download. It is valid for one export with the " +
          'same parameters, for 30 seconds. The request has no body.',
      tags: ['events'],
      querystring: exportParameters(exportLimit),
      response: { 201: ExportTicket, ...problemAnswers }
    }
  }, async (request, reply) => {
    const parsed = read(request)
    if (!parsed.ok) return sendFaults(reply, parsed.code, parsed.errors)
    const ticket = tickets.issue(callerOf(request).key, request.credential, queryBond(request))
    if (ticket === undefined) {
      const detail = 'Too many unused tickets; use one, or wait until one expires.'
      return sendProblem(reply, 'rate-limited', detail, { retry_after: TICKET_MS / 1000 })
    }
    return reply.code(201).header('cache-control', 'no-store').send({ ticket, expires_in: TICKET_MS / 1000 })
  })

  function read (request: FastifyRequest): ParsedExport | Fault {
    return readExportQuery({
      parameters: request.query as ExportParameters,
      faults: (request.validationError?.validation ?? []).map(faultOf),
      search: searchOf(request.url),
      exportLimit,
      nowMs: tenantOf(request).clock()
    })
  }

  async function run (
    request: FastifyRequest,
    reply: FastifyReply,
    parsed: ParsedExport,
    slot: Slot<RevocableExport>
  ): Promise<FastifyReply> {
    const requester = createRequester(callerOf(request).key, limits, request.raw.socket)
    const opened = await tenantOf(request).exports.open(parsed.query, requester)
    if (!opened.ok) return sendFailure(reply, opened, isPassthrough)
    if (request.raw.socket.destroyed) {
      opened.end()
      return reply.hijack()
    }
    const cut = () => {
      opened.end()
      reply.raw.destroy()
    }
    slot.occupy({ cut })
    await send(request, reply, parsed, opened)
    return reply
  }

  /** Sends the export, and reports it when it has ended, however it ended. */
  async function send (
    request: FastifyRequest,
    reply: FastifyReply,
    { csv, format: name, query }: ParsedExport,
    { end, steps, window }: Export
  ): Promise<void> {
    const startedMs = clock.monotonicMs()
    const format = formatOf(name, csv)
    const encoded = encodeExport(steps, format)
    const { 'accept-encoding': acceptEncoding } = request.headers
    const coding = acceptEncoding === undefined ? undefined : negotiateEncoding(acceptEncoding)
    let sent: SentExport | 'error' = 'error'
    instruments.exportBegan()
    try {
      const headers = headersOf(format.mediaType, fileName(window, format.extension), coding)
        .concat(responseHeaders.varying(request, reply))
      sent = await sendExport(reply, { encoded, headers, coding, onGone: end }, options)
    } catch (err) {
      reply.hijack().raw.destroy() // An answer that is cut by an error must not look whole.
      request.log.error({ err, request_id: request.id }, 'unexpected error')
    } finally {
      end()
      const totals = encoded.totals()
      const durationMs = clock.monotonicMs() - startedMs
      const outcome = sent !== 'sent' ? 'cut' : totals.end?.complete === true ? 'complete' : 'incomplete'
      instruments.exportEnded(outcome, totals.events, durationMs)
      request.log.info({
        request_id: request.id,
        caller: callerOf(request).key,
        filter: query.filter,
        format: name,
        ...reportOf(totals, sent),
        ms: Math.round(durationMs)
      }, 'export ended')
    }
  }

  function headersOf (mediaType: string, name: string, coding: ContentCoding | undefined): string[] {
    return [
      ...responseHeaders.fixed,
      'content-type',
      mediaType,
      'content-disposition',
      `attachment; filename="${name}"`,
      'cache-control',
      'no-store',
      ...coding === undefined ? [] : ['content-encoding', coding]
    ]
  }
}

function refuse (reply: FastifyReply, code: 'rate-limited' | 'overloaded', detail: string): FastifyReply {
  return sendProblem(reply, code, detail, { retry_after: FULL_RETRY_SECONDS })
}

/** What the log says about the end of an export. */
function reportOf ({ bytes, end, events }: ExportTotals, sent: SentExport | 'error') {
  return { events, bytes, complete: sent === 'sent' && end?.complete === true, reason: sent === 'sent' ? end?.reason : sent }
}

/** A name of ours. No system refuses its characters. */
function fileName ({ end, start }: Export['window'], extension: string): string {
  return `kubiya-audit_${compact(start, 'begin')}_${compact(end, 'now')}.${extension}`
}

function compact (instant: Instant | undefined, otherwise: string): string {
  return instant === undefined ? otherwise : formatInstant(instant).replace(/[-:]/g, '')
}
