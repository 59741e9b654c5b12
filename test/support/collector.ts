import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { eventually } from './support.ts'

/** A span as the collector was told of it. */
export interface ToldSpan {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number
  readonly attributes: Record<string, unknown>
  /** 0 unset, 2 error. */
  readonly status: number
  readonly resource: Record<string, unknown>
}

/** Takes spans as an OpenTelemetry collector does (OTLP/HTTP with JSON). */
export async function startCollector (t: { teardown (action: () => unknown): void }) {
  const spans: ToldSpan[] = []
  const server = createServer(async (request, response) => {
    if (request.url === '/v1/traces') spans.push(...spansIn(await json(request)))
    response.setHeader('content-type', 'application/json').end('{}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    /** Resolves with the first span that passes. */
    async span (passes: (span: ToldSpan) => boolean): Promise<ToldSpan> {
      await eventually('the span is told of', () => spans.some(passes))
      const found = spans.find(passes)
      if (found === undefined) throw new Error('gone')
      return found
    }
  }
}

type Attributes = Array<{ key: string, value: Record<string, unknown> }>

/** What a collector is sent (OTLP/HTTP with JSON). */
interface Told {
  resourceSpans: Array<{ resource: { attributes: Attributes }, scopeSpans: Array<{ spans: SentSpan[] }> }>
}

interface SentSpan extends Pick<ToldSpan, 'name' | 'traceId' | 'spanId' | 'kind'> {
  parentSpanId: string
  attributes: Attributes
  status?: { code?: number }
}

function spansIn (told: unknown): ToldSpan[] {
  const { resourceSpans } = told as Told
  return resourceSpans.flatMap(({ resource, scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans.map((span) => ({
    name: span.name,
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId === '' ? undefined : span.parentSpanId,
    kind: span.kind,
    attributes: valuesOf(span.attributes),
    status: span.status?.code ?? 0,
    resource: valuesOf(resource.attributes)
  }))))
}

function valuesOf (attributes: Attributes = []): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}
