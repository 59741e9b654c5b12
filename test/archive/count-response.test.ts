import t from 'tap'
import { createEventTable } from '../../src/aggregates/event-table.ts'
import type { Gathered } from '../../src/aggregates/aggregates.ts'
import { createCountQuery, type SessionsKind } from '../../src/archive/count-query.ts'
import { produceCountsFromMemory } from '../../src/archive/count-response.ts'
import { decodeCursor } from '../../src/audit/cursor.ts'
import { identify } from '../../src/audit/event-id.ts'
import { formatInstant } from '../../src/audit/instant.ts'
import { EPOCH, at } from '../support/timeline.ts'

const KB = 1024
const [SESSIONS, ROWS] = [30, 40]
const MOST_BYTES = 200 * KB
/** One session: an address, a tool and an agent of 1 KB in each row. */
const SESSION_BYTES = 3 * ROWS * (KB + 60)
const WINDOW = { start: at(0), end: at(SESSIONS * ROWS) }

/** Sessions whose lists are as long as their rows. */
function gather (): Gathered {
  const table = createEventTable({ maxEvents: SESSIONS * ROWS })
  const items = Array.from({ length: SESSIONS * ROWS }, (_, n) => ({
    timestamp: formatInstant(at(n)),
    email: `user ${n}`.padEnd(KB, '.'),
    extra: {
      session_id: `session ${Math.floor(n / ROWS)}`,
      tool_name: `tool ${n}`.padEnd(KB, '.'),
      teammate_name: `agent ${n}`.padEnd(KB, '.')
    }
  }))
  for (const event of identify(items)) table.add(event, event.instant ?? at(0))
  return {
    ok: true,
    parts: [{ snapshot: table.snapshot(), window: WINDOW }],
    window: WINDOW,
    coverage: {
      complete: true,
      scanned: items.length,
      ...WINDOW,
      asOf: WINDOW.end,
      retryAfterMs: undefined,
      skipped: []
    },
    isFromMemory: true,
    position: { kind: 'log', epoch: EPOCH, offset: 0, instant: WINDOW.end },
    readMs: 0
  }
}

t.test('a page of sessions ends at a number of bytes, reserves what it holds, and no session is lost', async (t) => {
  const gathered = gather()
  const context = {
    aggregates: { fromMemory: async () => gathered, fromKubiya: async () => gathered },
    memory: { maxAnswerBytes: MOST_BYTES },
    now: () => WINDOW.end,
    earliest: () => WINDOW.end,
    latenessMs: 0,
    openTtlMs: 1000,
    closedTtlMs: 1000
  }
  const ids: string[] = []
  let after: SessionsKind['after']
  let pages = 0
  for (let isLast = false; !isLast; pages++) {
    const kind: SessionsKind = {
      operation: 'sessions', orderBy: 'end_time', outcome: undefined, pageSize: 500, after, pin: undefined, prefix: ''
    }
    const held: number[] = []
    const room = { resize: (bytes: number) => { held.push(bytes) }, release () {} }
    const produced = await produceCountsFromMemory(context, createCountQuery({ kind, filter: {}, window: WINDOW }), room)
    if (produced?.ok !== true || produced.response.status !== 200) return t.fail('no page')
    const { body } = produced.response.identity
    const { items, pagination } = JSON.parse(String(body))
    t.ok(body.length < MOST_BYTES + SESSION_BYTES + 2 * KB * items.length, `${body.length} bytes on page ${pages}`)
    t.ok((held.at(-1) ?? 0) > body.length - KB && (held.at(-1) ?? 0) <= body.length, 'the room is that of the body')
    ids.push(...items.map(({ id }: { id: string }) => id))
    t.equal(pagination.total, SESSIONS)
    isLast = !pagination.has_more
    const cursor = decodeCursor(String(pagination.next).split('cursor=')[1] ?? '')
    after = cursor?.kind === 'sessions' ? cursor.after : undefined
  }
  t.ok(pages >= SESSIONS * SESSION_BYTES / (MOST_BYTES + SESSION_BYTES), `${pages} pages`)
  t.same(ids, Array.from({ length: SESSIONS }, (_, n) => `session ${SESSIONS - 1 - n}`), 'each once, in order')
})
