import { Type } from '@sinclair/typebox'
import { encodeCursor } from '../audit/cursor.ts'
import { PublishedEventRef, type AuditEvent } from '../audit/event.ts'
import { narrate } from '../audit/narrative.ts'
import { Coverage, EntryKind, PublishedSession } from '../audit/session.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import { Pagination, paginationOf, writeItems, type RenderedBody } from './page-body.ts'
import type { ConversationQuery } from './conversation-query.ts'
import type { Page } from './page-query.ts'

const optionalText = (description: string) => Type.Union([Type.String(), Type.Null()], { description })

/** The response of one session. */
export const ConversationPage = Type.Object({
  session: Type.Unsafe<PublishedSession>({ $ref: 'Session#' }),
  entries: Type.Array(Type.Object({
    kind: EntryKind,
    actor: optionalText('Who speaks: an agent, otherwise the email of a user.'),
    agent: optionalText('The agent that takes part.'),
    tool: optionalText('The tool that is called or that answers.'),
    text: Type.String({ description: 'The text without the wrapper in which Kubiya logs it. Never cut.' }),
    hidden: Type.Boolean({ description: 'Whether the entry repeats a tool call as a message.' }),
    event: PublishedEventRef
  }), { description: 'Oldest first. Everything but `event` is derived from it.' }),
  pagination: Pagination,
  coverage: Type.Unsafe<Coverage>({ $ref: 'Coverage#' })
}, { $id: 'ConversationPage', description: 'One session: its figures, and a page of its events as a conversation.' })

/** What is said of the session beside its entries. */
export interface SessionSummary {
  readonly session: PublishedSession
  readonly coverage: Coverage
}

const PATH = '/api/v1/audit/sessions/'

/** The cursor of the next page. It contains the whole query. `undefined`: this page is the last one. */
export function nextConversationCursor (
  { filter, kind, page: number, pageSize }: ConversationQuery,
  { next: after, skip }: Page
): string | undefined {
  if (after === undefined) return undefined
  const page = number + (skip > 0 ? 0 : 1)
  return encodeCursor({
    kind: 'page',
    operation: 'session',
    filter,
    window: {},
    direction: 'asc',
    pageSize,
    page,
    skip,
    after,
    ...kind !== undefined && { entryKind: kind }
  })
}

/** Renders a page of a conversation. The validator covers everything but the time at which it was read. */
export async function renderConversation (
  query: ConversationQuery,
  page: Page,
  { coverage, session }: SessionSummary,
  cursor: string | undefined
): Promise<RenderedBody> {
  const { id, prefix = '' } = query
  const pagination = paginationOf(query, page, {}, `${prefix}${PATH}${encodeURIComponent(id)}`, cursor)
  const entries: string[] = []
  for (const event of page.events) {
    entries.push(entryOf(event))
    await pauseIfDue()
  }
  const tail = `],"pagination":${JSON.stringify(pagination)},"coverage":${JSON.stringify(coverage)}}`
  const validated = JSON.stringify([session, pagination, coverage.complete])
  return writeItems(entries, `{"session":${JSON.stringify(session)},"entries":[`, tail, validated)
}

/** The event goes in as the text that it is: no serializer may change what Kubiya sent. */
function entryOf ({ item, json }: AuditEvent): string {
  const { actor = null, agent = null, hidden, kind, text, tool = null } = narrate(item)
  return `${JSON.stringify({ kind, actor, agent, tool, text, hidden }).slice(0, -1)},"event":${json}}`
}
