import { isJsonObject, type JsonObject } from '../audit/exact-json.ts'
import { formatInstant, type Instant } from '../audit/instant.ts'
import { sessionOf } from '../audit/narrative.ts'
import type { PublishedSession, SessionCounter } from '../audit/session.ts'
import { createEventTable } from './event-table.ts'
import { countSessions, type Session } from './sessions.ts'

/** Counts one session in a table of its own. */
export function createSessionCounter (id: string, maxEvents: number): SessionCounter {
  const table = createEventTable({ maxEvents })
  return {
    add (event, position) {
      // The filter finds an event by either of its sessions. Here it counts for the one that was asked for.
      const item = sessionOf(event.item) === id ? event.item : withSession(event.item, id)
      table.add({ ...event, item }, position)
    },
    async count (asOf) {
      const parts = [{ snapshot: table.snapshot(), window: {} }]
      const { items: [session] } = await countSessions(parts, {}, { orderBy: 'end_time', pageSize: 1, asOf })
      return session && publishSession(session)
    }
  }
}

/** A session with its instants as texts. */
export function publishSession (session: Session): PublishedSession {
  const { id, start_time: start, end_time: end, ...rest } = session
  return {
    id,
    start_time: textOf(start),
    end_time: textOf(end),
    ...rest,
    users: [...rest.users],
    agents: [...rest.agents],
    tools: [...rest.tools],
    categories: [...rest.categories]
  }
}

function withSession (item: JsonObject, id: string): JsonObject {
  return { ...item, extra: { ...isJsonObject(item.extra) ? item.extra : {}, session_id: id } }
}

function textOf (instant: Instant | null): string | null {
  return instant === null ? null : formatInstant(instant)
}
