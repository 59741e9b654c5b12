import { signal, type ReadonlySignal } from '@preact/signals'
import { narrate } from '../audit/narrative.ts'
import type { JsonObject } from '../audit/exact-json.ts'
import { openAuditFrames } from '../client/client.ts'
import type { PublishedEvent } from '../client/types.ts'
import { isUnauthorized } from './live-tail.ts'
import { statusOf } from './row-log.ts'
import { msOf } from './time-format.ts'
import type { Api, ConversationEntry, Coverage, Session, Trouble } from './api.ts'

/** One session from its first event to its last, and on while it is open. */
export interface Conversation {
  readonly session: ReadonlySignal<Session | undefined>
  readonly entries: ReadonlySignal<readonly ConversationEntry[]>
  readonly coverage: ReadonlySignal<Coverage | undefined>
  readonly trouble: ReadonlySignal<Trouble | undefined>
  readonly isLoading: ReadonlySignal<boolean>
  readonly hasMore: ReadonlySignal<boolean>
  loadMore (): void
  close (): void
}

export interface ConversationOptions {
  readonly api: Api
  readonly id: string
  readonly credential: () => string | undefined
  /** The service refuses the credential. `wasOpen`: the stream was open until then. */
  readonly onUnauthorized: (wasOpen: boolean) => void
}

const PAGE_SIZE = 500
/** Entries that are loaded without being asked for. */
const LOADED_AT_ONCE = 5000

/** Reads the session's pages. An open session is then followed by a stream of its own. */
export function openConversation ({ api, credential, id, onUnauthorized }: ConversationOptions): Conversation {
  const aborting = new AbortController()
  const { signal: abort } = aborting
  const session = signal<Session | undefined>(undefined)
  const entries = signal<readonly ConversationEntry[]>([])
  const coverage = signal<Coverage | undefined>(undefined)
  const trouble = signal<Trouble | undefined>(undefined)
  const isLoading = signal(false)
  const hasMore = signal(false)
  let cursor: string | undefined
  let most = LOADED_AT_ONCE

  void load()
  return { session, entries, coverage, trouble, isLoading, hasMore, loadMore, close: () => { aborting.abort() } }

  async function load (): Promise<void> {
    isLoading.value = true
    do {
      const answer = await api.conversation(id, cursor === undefined ? { page_size: PAGE_SIZE } : { cursor }, abort)
      if (abort.aborted) return
      trouble.value = answer.ok ? undefined : answer.trouble
      if (!answer.ok) break
      const { data } = answer
      cursor = data.pagination.next_cursor ?? undefined
      entries.value = [...entries.value, ...data.entries]
      session.value = data.session
      coverage.value = data.coverage
      hasMore.value = cursor !== undefined
    } while (cursor !== undefined && entries.value.length < most)
    isLoading.value = false
    if (trouble.value === undefined && !hasMore.value && session.value?.is_open === true) await follow()
  }

  function loadMore (): void {
    if (isLoading.value) return
    most = entries.value.length + LOADED_AT_ONCE
    void load()
  }

  function take (event: PublishedEvent): void {
    entries.value = [...entries.value, entryOf(event)].sort(compareEntries)
    if (session.value !== undefined) session.value = grown(session.value, event)
  }

  /** The stream begins at the last entry; what it repeats is known by its id. */
  async function follow (): Promise<void> {
    let isOpen = false
    const startTime = session.value?.end_time ?? undefined
    const frames = openAuditFrames({
      url: api.base.href,
      filter: { session_id: id },
      ...startTime !== undefined && { startTime },
      known: entries.value.map(({ event }) => event.id),
      credential: credential() === undefined ? undefined : () => credential() ?? '',
      signal: abort,
      onHello: () => { isOpen = true }
    })
    try {
      for await (const frame of frames) {
        if (frame.type === 'event') take(frame.event)
      }
    } catch (error) { // What was loaded stays, unless the credential has ended.
      if (!abort.aborted && isUnauthorized(error)) onUnauthorized(isOpen)
    }
  }
}

/** The figures of a session after one more event, by the rules of the service. */
function grown (session: Session, event: PublishedEvent): Session {
  const status = statusOf(event)
  const failed = session.failed + (status === 'failed' ? 1 : 0)
  const outcome = status === 'success' && failed > 0 ? 'recovered' : status ?? session.outcome
  const [start, end] = [msOf(session.start_time), Math.max(msOf(session.end_time) ?? 0, msOf(event.timestamp) ?? 0)]
  return {
    ...session,
    events: session.events + 1,
    success: session.success + (status === 'success' ? 1 : 0),
    failed,
    unknown: session.unknown + (status === undefined ? 1 : 0),
    outcome,
    ...start !== undefined && { end_time: new Date(end).toISOString(), duration_seconds: (end - start) / 1000 }
  }
}

/** Oldest first. A late event goes to its place. */
function compareEntries ({ event: a }: ConversationEntry, { event: b }: ConversationEntry): number {
  return (msOf(a.timestamp) ?? 0) - (msOf(b.timestamp) ?? 0)
}

function entryOf (event: PublishedEvent): ConversationEntry {
  const { actor = null, agent = null, hidden, kind, text, tool = null } = narrate(event as JsonObject)
  return { kind, actor, agent, tool, text, hidden, event }
}
