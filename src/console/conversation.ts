import { signal, type ReadonlySignal } from '@preact/signals'
import { narrate } from '../audit/narrative.ts'
import type { JsonObject } from '../audit/exact-json.ts'
import { openAuditFrames } from '../client/client.ts'
import type { PublishedEvent } from '../client/types.ts'
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
}

const PAGE_SIZE = 500
/** Entries that are loaded without being asked for. */
const LOADED_AT_ONCE = 5000

/** Reads the session's pages. An open session is then followed by a stream of its own. */
export function openConversation ({ api, credential, id }: ConversationOptions): Conversation {
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

  /** The stream begins at the last entry; what it repeats is known by its id. */
  async function follow (): Promise<void> {
    const startTime = session.value?.end_time ?? undefined
    const frames = openAuditFrames({
      url: api.base.href,
      filter: { session_id: id },
      ...startTime !== undefined && { startTime },
      known: entries.value.map(({ event }) => event.id),
      credential: credential() === undefined ? undefined : () => credential() ?? '',
      signal: abort
    })
    try {
      for await (const frame of frames) {
        if (frame.type === 'event') entries.value = [...entries.value, entryOf(frame.event)]
      }
    } catch {} // What was loaded stays. The page asks for a new credential where it was refused.
  }
}

function entryOf (event: PublishedEvent): ConversationEntry {
  const { actor = null, agent = null, hidden, kind, text, tool = null } = narrate(event as JsonObject)
  return { kind, actor, agent, tool, text, hidden, event }
}
