import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  defaultTextMapGetter,
  defaultTextMapSetter,
  isSpanContextValid,
  trace,
  type Context,
  type Span as OtelSpan
} from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-base'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { pathOf } from './request-path.ts'
import type { Span, SpanStart, Tracer } from '../tracer.ts'

export interface TracingOptions {
  /** Where the collector is; spans go to `/v1/traces` there. */
  readonly endpoint: string
  readonly version: string
  /** Told when the collector cannot be reached after it could. */
  readonly onError: (error: unknown) => void
}

/** What a log line says of the span that it was written in. */
export type TraceIds = { readonly trace_id: string, readonly span_id: string } | Record<never, never>

/** Spans of this process, sent to a collector over OTLP/HTTP. */
export interface Tracing extends Tracer {
  /**
   * Makes each request of a server a span, in the trace that its `traceparent` names. To be called before other hooks
   * are added.
   */
  instrument (server: FastifyInstance): void
  /** A stream has begun: how long it lasts is not how long its request took. */
  streamStarted (request: FastifyRequest, status: number): void
  /** Of what is under way. */
  ids (): TraceIds
  /** Of a request, also when its answer has gone. */
  idsOf (request: FastifyRequest): TraceIds
  /** Sends what has not been sent, for some seconds at most. */
  end (): Promise<void>
}

interface Asked {
  readonly span: OtelSpan
  readonly ids: TraceIds
  isOver: boolean
}

const SERVICE = 'kubiya-audit-bff'
const FAREWELL_MS = 5000

/**
 * The rest is set as OpenTelemetry has it, by environment variables that its own library reads:
 * `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_…`.
 * Nothing of it is global here.
 */
export function createTracing ({ endpoint, onError, version }: TracingOptions): Tracing {
  const exporter = new OTLPTraceExporter({
    url: `${endpoint.replace(/\/+$/, '')}/v1/traces`,
    timeoutMillis: FAREWELL_MS
  })
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': SERVICE, 'service.version': version }).merge(
      detectResources({ detectors: [envDetector] })
    ),
    spanProcessors: [new BatchSpanProcessor(watched(exporter, onError))]
  })
  const tracer = provider.getTracer(SERVICE, version)
  const contexts = new AsyncLocalStorageContextManager().enable()
  const propagator = new W3CTraceContextPropagator()
  const requests = new WeakMap<FastifyRequest['raw'], Asked>()
  return { span, instrument, streamStarted, ids, idsOf, end }

  async function span<Outcome> (
    { attributes = {}, isRoot = false, kind, name }: SpanStart,
    work: (span: Span) => Promise<Outcome>
  ): Promise<Outcome> {
    const parent = isRoot ? ROOT_CONTEXT : contexts.active()
    const started = tracer.startSpan(name, {
      kind: kind === 'client' ? SpanKind.CLIENT : SpanKind.INTERNAL,
      attributes
    }, parent)
    const inside = trace.setSpan(parent, started)
    const headers: Record<string, string> = {}
    propagator.inject(inside, headers, defaultTextMapSetter)
    try {
      return await contexts.with(inside, () => work({
        headers,
        note: (further) => { started.setAttributes(further) },
        fail: (type) => { started.setAttribute('error.type', type).setStatus({ code: SpanStatusCode.ERROR }) }
      }))
    } catch (error) {
      started.recordException(error instanceof Error ? error : String(error))
      started.setStatus({ code: SpanStatusCode.ERROR })
      throw error
    } finally {
      started.end()
    }
  }

  function instrument (server: FastifyInstance): void {
    server.addHook('onRequest', (request, _reply, done) => {
      const parent = propagator.extract(ROOT_CONTEXT, request.headers, defaultTextMapGetter)
      const inside = trace.setSpan(parent, begin(request, parent))
      contexts.with(inside, done)
    })
    server.addHook('onResponse', (request, reply, done) => {
      conclude(request, reply.statusCode, reply)
      done()
    })
  }

  /** The path alone: a query may hold what somebody searched for. */
  function begin (request: FastifyRequest, parent: Context): OtelSpan {
    const { method, raw, routeOptions, url } = request
    const route = routeOptions.url
    const attributes = {
      'http.request.method': method,
      'url.path': pathOf(url),
      ...route !== undefined && { 'http.route': route },
      'kubiya_audit_bff.request_id': request.id
    }
    const started = tracer.startSpan(route === undefined ? method : `${method} ${route}`, {
      kind: SpanKind.SERVER,
      attributes
    }, parent)
    requests.set(raw, { span: started, ids: idsIn(started), isOver: false })
    return started
  }

  function streamStarted (request: FastifyRequest, status: number): void {
    conclude(request, status)
  }

  function conclude ({ raw }: FastifyRequest, status: number, reply?: FastifyReply): void {
    const asked = requests.get(raw)
    if (asked === undefined || asked.isOver) return
    asked.isOver = true
    asked.span.setAttribute('http.response.status_code', status)
    if (reply?.cacheStatus !== undefined) {
      asked.span.setAttribute('http.response.header.cache-status', [reply.cacheStatus])
    }
    if (status >= 500) asked.span.setAttribute('error.type', String(status)).setStatus({ code: SpanStatusCode.ERROR })
    asked.span.end()
  }

  function ids (): TraceIds {
    const active = trace.getSpan(contexts.active())
    return active === undefined ? {} : idsIn(active)
  }

  function idsOf ({ raw }: FastifyRequest): TraceIds {
    return requests.get(raw)?.ids ?? {}
  }

  async function end (): Promise<void> {
    contexts.disable()
    await provider.shutdown().catch(() => {}) // What cannot be told was spoken of.
  }
}

function idsIn (span: OtelSpan): TraceIds {
  const context = span.spanContext()
  return isSpanContextValid(context) ? { trace_id: context.traceId, span_id: context.spanId } : {}
}

/** Speaks of the first of many failures. */
function watched (exporter: SpanExporter, onError: (error: unknown) => void): SpanExporter {
  let isFailing = false

  return {
    shutdown: () => exporter.shutdown(),
    export (spans, done) {
      exporter.export(spans, (result) => {
        const failed = result.code !== ExportResultCode.SUCCESS
        if (failed && !isFailing) onError(result.error)
        isFailing = failed
        done(result)
      })
    }
  }
}
