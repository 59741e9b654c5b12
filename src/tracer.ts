/** The attributes of a span. Names follow OpenTelemetry's semantic conventions where these have one. */
export type Attributes = Readonly<Record<string, string | number | boolean>>

export interface SpanStart {
  readonly name: string
  /** `client`: the span is a request to another service. */
  readonly kind: 'client' | 'internal'
  readonly attributes?: Attributes
  /** Whether the span starts a trace of its own. */
  readonly isRoot?: boolean
}

export interface Span {
  /** Headers that carry the trace to the requested service (W3C Trace Context). */
  readonly headers: Readonly<Record<string, string>>
  note (attributes: Attributes): void
  /** Marks the span as failed. `type` is one of a few fixed words. */
  fail (type: string): void
}

/** The port to tracing. */
export interface Tracer {
  /** Runs work as a span. Spans that start inside are its children. */
  span<Outcome> (start: SpanStart, work: (span: Span) => Promise<Outcome>): Promise<Outcome>
}

const NO_SPAN: Span = { headers: {}, note: () => {}, fail: () => {} }

/** A tracer without spans. */
export const silentTracer: Tracer = { span: (_start, work) => work(NO_SPAN) }
