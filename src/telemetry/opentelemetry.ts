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
import { pathOf } from './request-log.ts'
import type { Span, SpanStart, Tracer } from '../tracer.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The span of the request. `undefined` without tracing. */
    trace: RequestTrace | undefined
  }
}

interface RequestTrace {
  readonly span: OtelSpan
  readonly ids: TraceIds
  isEnded: boolean
}

export interface TracingOptions {
  /** The collector's base URL. Spans go to `/v1/traces` below it. */
  readonly endpoint: string
  readonly version: string
  /** Called when an export fails after a good one. */
  readonly onError: (error: unknown) => void
}

/** The ids of the current span, for log lines. */
export type TraceIds = { readonly trace_id: string, readonly span_id: string } | Record<never, never>

/** Exports the spans of this process to a collector, over OTLP/HTTP. */
export interface Tracing extends Tracer {
  /** Makes each request of a server a span, in the trace of its `traceparent`. Call it before other hooks are added. */
  instrument (server: FastifyInstance): void
  /** Ends the span of a request whose stream has begun: the duration of a stream is not that of its request. */
  streamStarted (request: FastifyRequest, status: number): void
  /** The ids of the active span. */
  ids (): TraceIds
  /** The ids of a request's span, also after its answer. */
  idsOf (request: FastifyRequest): TraceIds
  /** Exports the remaining spans, within some seconds. */
  end (): Promise<void>
}

const SERVICE = 'kubiya-audit-bff'
const EXPORT_MS = 5000

/**
 * OpenTelemetry's own library reads the other settings from environment variables: `OTEL_EXPORTER_OTLP_HEADERS`,
 * `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_…`. Nothing is registered globally.
 */
export function createTracing ({ endpoint, onError, version }: TracingOptions): Tracing {
  const exporter = new OTLPTraceExporter({
    url: `${endpoint.replace(/\/+$/, '')}/v1/traces`,
    timeoutMillis: EXPORT_MS
  })
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': SERVICE, 'service.version': version }).merge(
      detectResources({ detectors: [envDetector] })
    ),
    spanProcessors: [new BatchSpanProcessor(reportingFirstFailure(exporter, onError))]
  })
  const tracer = provider.getTracer(SERVICE, version)
  const contexts = new AsyncLocalStorageContextManager().enable()
  const propagator = new W3CTraceContextPropagator()
  return { span, instrument, streamStarted: endRequest, ids, idsOf: ({ trace }) => trace?.ids ?? {}, end }

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
    server.decorateRequest('trace', undefined)
    server.addHook('onRequest', (request, _reply, done) => {
      const parent = propagator.extract(ROOT_CONTEXT, request.headers, defaultTextMapGetter)
      const started = startRequest(request, parent)
      request.trace = { span: started, ids: idsIn(started), isEnded: false }
      contexts.with(trace.setSpan(parent, started), done)
    })
    server.addHook('onResponse', (request, reply, done) => {
      endRequest(request, reply.statusCode, reply)
      done()
    })
  }

  /** The span has the path without the query, which may hold what someone searched for. */
  function startRequest (request: FastifyRequest, parent: Context): OtelSpan {
    const { method, routeOptions, url } = request
    const route = routeOptions.url
    const attributes = {
      'http.request.method': method,
      'url.path': pathOf(url),
      ...route !== undefined && { 'http.route': route },
      'kubiya_audit_bff.request_id': request.id
    }
    const name = route === undefined ? method : `${method} ${route}`
    return tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, parent)
  }

  function endRequest ({ trace }: FastifyRequest, status: number, reply?: FastifyReply): void {
    if (trace === undefined || trace.isEnded) return
    trace.isEnded = true
    trace.span.setAttribute('http.response.status_code', status)
    if (reply?.cacheStatus !== undefined) {
      trace.span.setAttribute('http.response.header.cache-status', [reply.cacheStatus])
    }
    if (status >= 500) trace.span.setAttribute('error.type', String(status)).setStatus({ code: SpanStatusCode.ERROR })
    trace.span.end()
  }

  function ids (): TraceIds {
    const active = trace.getSpan(contexts.active())
    return active === undefined ? {} : idsIn(active)
  }

  async function end (): Promise<void> {
    contexts.disable()
    await provider.shutdown().catch(() => {}) // `onError` has reported the failure.
  }
}

function idsIn (span: OtelSpan): TraceIds {
  const context = span.spanContext()
  return isSpanContextValid(context) ? { trace_id: context.traceId, span_id: context.spanId } : {}
}

/** Reports the first of several failures in a row. */
function reportingFirstFailure (exporter: SpanExporter, onError: (error: unknown) => void): SpanExporter {
  let isFailing = false

  return {
    shutdown: () => exporter.shutdown(),
    export (spans, done) {
      exporter.export(spans, (result) => {
        const hasFailed = result.code !== ExportResultCode.SUCCESS
        if (hasFailed && !isFailing) onError(result.error)
        isFailing = hasFailed
        done(result)
      })
    }
  }
}
