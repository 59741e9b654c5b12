import { effect, signal, type ReadonlySignal, type Signal } from '@preact/signals'
import { createApi, type Answer, type Api, type Readiness } from './api.ts'
import { copyText } from './clipboard.ts'
import { createCounts, type Counts } from './counts.ts'
import { createCredential, type Credential } from './credential.ts'
import { createEventList, type EventList, type ListQuery } from './event-list.ts'
import type { UpstreamState } from './live-tail.ts'
import { createNavigation, type Navigation } from './navigation.ts'
import { createPreferences, type Preferences } from './preferences.ts'
import { createResource, stable, type Resource } from './resource.ts'
import type { Row } from './row-log.ts'
import { WORDS } from './words.ts'

/** Everything that the views read, and what they may do. Data flows one way: URL, queries, data, views. */
export interface App extends Navigation, Counts {
  /** Opens the event of a row, or of the active row, in place of an open one. */
  open (row?: Pick<Row, 'id'>): void
  /** Copies a text, and says so. */
  copy (text: string): Promise<void>
  copyLink (): Promise<void>
  readonly api: Api
  readonly credential: Credential
  readonly preferences: Preferences
  readonly list: EventList
  readonly readiness: Resource<Readiness>
  /** What the stream or `/readyz` said last of Kubiya. */
  readonly upstream: ReadonlySignal<UpstreamState | undefined>
  /** When the credential of the stream expires, where that is soon. */
  readonly expiresAt: ReadonlySignal<string | undefined>
  /** A short message for the person, also for screen readers. */
  readonly notice: Signal<string>
  /** What is open over the page. */
  readonly dialog: Signal<'help' | undefined>
}

export interface AppEnvironment {
  /** The address of the service, with a slash at its end. */
  readonly base: URL
  readonly localStorage: Storage | undefined
  readonly sessionStorage: Storage | undefined
}

const READINESS_RELOAD_MS = 15_000

export function createApp ({ base, localStorage, sessionStorage }: AppEnvironment): App {
  const upstream = signal<UpstreamState | undefined>(undefined)
  const expiresAt = signal<string | undefined>(undefined)
  const notice = signal('')
  const { go, url } = createNavigation()
  const credential = createCredential(sessionStorage)
  const { isWanted: isSignedOut, value } = credential
  const api = createApi({ base, credential: () => value.value, onUnauthorized: credential.refused })
  const list = createEventList({
    api,
    query: stable((): ListQuery | undefined => {
      const { end, filter, isLive, start, view } = url.value
      return isSignedOut.value || view !== 'events' ? undefined : { end, filter, isLive, start }
    }),
    credential: () => value.value,
    onUnauthorized: credential.streamRefused,
    onUpstream: (state) => { upstream.value = state },
    onExpiring: (at) => { expiresAt.value = at }
  })
  effect(() => {
    if (credential.ended.value > 0) list.reload()
  })
  effect(() => {
    void credential.value.value
    void credential.ended.value
    expiresAt.value = undefined
  })

  return {
    url,
    go,
    open,
    copy,
    copyLink: () => copy(location.href),
    api,
    credential,
    preferences: createPreferences(localStorage),
    list,
    ...createCounts({ api, isSignedOut, url }),
    readiness: createResource({ query: signal({}), load: loadReadiness, reloadMs: () => READINESS_RELOAD_MS }),
    upstream,
    expiresAt,
    notice,
    dialog: signal(undefined)
  }

  function open (row?: Pick<Row, 'id'>): void {
    if (row !== undefined) list.activate(row)
    const id = list.activeId.value
    if (id !== undefined && list.eventBeside(id, 0) !== undefined) {
      go({ event: id }, url.value.event === undefined ? 'push' : 'replace')
    }
  }

  async function copy (text: string): Promise<void> {
    notice.value = await copyText(text) ? WORDS.copied : WORDS.notCopied
  }

  async function loadReadiness (_query: object, abort: AbortSignal): Promise<Answer<Readiness>> {
    const answer = await api.readiness(abort)
    // While a stream is open, its frames say it sooner.
    if (answer.ok && list.live.peek().kind !== 'live') {
      const { lag_ms: lagMs, state } = answer.data.upstream
      upstream.value = { state, lagMs: lagMs ?? undefined, atMs: Date.now(), since: undefined }
    }
    return answer
  }
}
