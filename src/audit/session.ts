import { Type, type Static } from '@sinclair/typebox'
import type { AuditEvent } from './event.ts'
import type { Instant } from './instant.ts'
import { NARRATIVE_KINDS, type NarrativeKind } from './narrative.ts'

const orNull = <Schema extends ReturnType<typeof Type.String> | ReturnType<typeof Type.Number>>(schema: Schema) =>
  Type.Union([schema, Type.Null()])
const count = (description: string) => Type.Integer({ minimum: 0, description })
const choice = <Value extends string>(values: readonly Value[], description: string) =>
  Type.Unsafe<Value>({ type: 'string', enum: [...values], description })

export const SESSION_OUTCOMES = ['success', 'failed', 'recovered', 'unknown'] as const
export type SessionOutcome = typeof SESSION_OUTCOMES[number]
export const SESSION_TRIGGERS = ['webhook', 'slack', 'api', 'conversation'] as const
export type SessionTrigger = typeof SESSION_TRIGGERS[number]

/** A session as it is published. */
export const PublishedSession = Type.Object({
  id: Type.String({ description: '`extra.session_id` of its events, otherwise `session_id`.' }),
  start_time: orNull(Type.String({ description: 'Its first event. Null: none of its events has a timestamp.' })),
  end_time: orNull(Type.String({ description: 'Its last event. Null: none of its events has a timestamp.' })),
  duration_seconds: orNull(Type.Number({ description: 'From the first event to the last one.' })),
  events: count('All its events.'),
  success: count('Events that succeeded.'),
  failed: count('Events that failed.'),
  unknown: count('Events without an outcome.'),
  outcome: choice(
    SESSION_OUTCOMES,
    'By the newest event that has an outcome. `recovered`: it succeeded, and another one failed before.'
  ),
  title: orNull(Type.String({
    maxLength: 200,
    description: 'The start of the first message of a user that was read, also from outside the window; otherwise of ' +
      'the first text. Null: there is no text.'
  })),
  trigger: choice(SESSION_TRIGGERS, 'What began the session, by the category of its first event.'),
  users: Type.Array(Type.Object({
    email: Type.String(),
    events: count('Events of this user.'),
    messages: count('Messages that this user wrote.')
  }), { maxItems: 100, description: 'The user with most messages first.' }),
  agents: Type.Array(Type.Object({ name: Type.String(), events: count('Events of this agent.') }), { maxItems: 100 }),
  tools: Type.Array(Type.Object({
    name: Type.String(),
    events: count('Events of this tool.'),
    failed: count('Those that failed.')
  }), { maxItems: 100 }),
  categories: Type.Array(Type.Object({
    value: Type.String({ description: 'A `category_type`.' }),
    events: count('Events of this category.')
  }), { maxItems: 100 }),
  is_open: Type.Boolean({ description: 'Whether its last event is less than five minutes older than `as_of`.' }),
  may_have_begun_earlier: Type.Boolean({
    description: 'Whether earlier events may lie before the window: one is known, or the first event is less than ' +
      'five minutes after the start of the window.'
  })
}, { $id: 'Session', description: 'The figures of one session, over all its events in the window.' })
export type PublishedSession = Static<typeof PublishedSession>

export const EntryKind = choice<NarrativeKind>(NARRATIVE_KINDS, 'What the entry is in a conversation.')

/** What an answer has really counted. */
export const Coverage = Type.Object({
  complete: Type.Boolean({
    description: 'Whether every event of the window was counted. False: `start_time` says how far the count went.'
  }),
  scanned: count('Events that were looked at for this answer.'),
  start_time: orNull(Type.String({ description: 'From here on every event was counted; null: no lower bound.' })),
  end_time: orNull(Type.String({ description: 'End of the stretch that was counted.' })),
  as_of: Type.String({ description: "When the last good poll of Kubiya began, by Kubiya's clock." }),
  retry_after: Type.Optional(
    Type.Integer({ minimum: 0, description: 'Seconds after which the same request will have counted more.' })
  ),
  skipped: Type.Optional(Type.Array(
    Type.Object({ from: Type.String(), to: Type.String() }),
    { description: 'Intervals with events that could not be read. Missing if there are none.' }
  ))
}, { $id: 'Coverage', description: 'What was really counted, the newest part first.' })
export type Coverage = Static<typeof Coverage>

/** Counts the events of one session, whatever other session an event also names. */
export interface SessionCounter {
  /** Adds an event once. `position`: its instant, or where an event without one stands. */
  add (event: AuditEvent, position: Instant): void
  /** The session so far. `undefined`: no event was added. `asOf`: when Kubiya was read. */
  count (asOf: Instant): Promise<PublishedSession | undefined>
}

export type CreateSessionCounter = (id: string, maxEvents: number) => SessionCounter
