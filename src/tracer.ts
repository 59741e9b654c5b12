/** Numbers and words that tell spans apart; named as OpenTelemetry's semantic conventions do where they have a name. */
export type Attributes = Readonly<Record<string, string | number | boolean>>

export interface SpanStart {
  readonly name: string
  /** `client`: another service is asked. */
  readonly kind: 'client' | 'internal'
  readonly attributes?: Attributes
  /** Belongs to nothing that is under way. */
  readonly isRoot?: boolean
}

export interface Span {
  /** What tells the service that is asked to what this belongs (W3C Trace Context). */
  readonly headers: Readonly<Record<string, string>>
  note (attributes: Attributes): void
  /** It did not come to a good end; `type` is one of a few words. */
  fail (type: string): void
}

/** The port to tracing. */
export interface Tracer {
  /** Does some work as a span: what is begun within belongs to it. */
  span<Outcome> (start: SpanStart, work: (span: Span) => Promise<Outcome>): Promise<Outcome>
}

const NO_SPAN: Span = { headers: {}, note: () => {}, fail: () => {} }

/** Traces nothing. */
export const silentTracer: Tracer = { span: (_start, work) => work(NO_SPAN) }
