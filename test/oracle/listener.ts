import { setTimeout as sleep } from 'node:timers/promises'
import { formatInstant, type Instant } from '../../src/audit/instant.ts'
import { connect, type Connection, type Transport } from './connection.ts'
import { heardOf, type Chapter, type Story } from './story.ts'
import { FILTERS, type FilterName } from './truth.ts'

export interface Listener {
  readonly story: Story
  /**
   * Loses the connection and comes back behind what it had heard before the last `back` frames: those count as never
   * heard.
   */
  reconnect (back: number): void
  stall (): void
  wake (): void
  isStalled (): boolean
  leave (): Promise<void>
}

/** Where the service is; `run` counts its starts. */
export interface Whereabouts {
  readonly url: string
  readonly run: number
  /** Whether its log is known to be filled, so that a stream takes its place before it says hello. */
  readonly isFilled: boolean
}

export interface ListenerOptions {
  readonly name: string
  readonly transport: Transport
  readonly filter: FilterName
  readonly start: Instant
  readonly whereabouts: () => Whereabouts | undefined
  readonly lastPublishing: () => number
  /** Pause before a connection that was lost is made anew. */
  readonly returnMs: number
  /** Makes the server's end of a connection take nothing; gives the way back. Without it the client stops to read. */
  readonly hold?: (name: string) => () => void
}

/** A client as it should be: it keeps the last cursor, and comes back with it whenever it loses the connection. */
export function createListener (options: ListenerOptions): Listener {
  const { filter, lastPublishing, name, start, transport, whereabouts } = options
  const story: Story = {
    name: `${name} (${transport}, ${filter})`,
    filter,
    start,
    liveSince: undefined,
    chapters: [],
    refusals: []
  }
  let isWanted = true
  let isStalled = false
  let connection: Connection | undefined
  let connectionName = ''
  let release = () => {}
  let count = 0
  const running = run()

  return { story, reconnect, stall, wake, isStalled: () => isStalled, leave }

  async function run (): Promise<void> {
    const there = whereabouts()
    if (there !== undefined) await listen(there)
    if (!isWanted) return
    await sleep(options.returnMs)
    return run()
  }

  async function listen ({ isFilled, run, url }: Whereabouts): Promise<void> {
    const since = lastCursor(story.chapters)
    const chapter: Chapter = { run, heard: [] }
    story.chapters.push(chapter)
    connectionName = `${name}-${++count}`
    connection = connect(transport, {
      url,
      name: connectionName,
      query: { ...FILTERS[filter].query, ...since === undefined ? { start_time: formatInstant(start) } : { since } },
      onFrame (frame) {
        const [last, heard] = [chapter.heard.at(-1), heardOf(frame)]
        if (isFilled || frame.type === 'event') story.liveSince ??= lastPublishing()
        // The newer one says all of it.
        if (heard.type === 'heartbeat' && last?.type === 'heartbeat') chapter.heard.pop()
        chapter.heard.push(heard)
      }
    })
    const refusal = await connection.over
    if (refusal !== undefined && refusal.status !== 503) story.refusals.push(`${refusal.status} ${refusal.body}`)
    isStalled = false
  }

  function reconnect (back: number): void {
    const heard = story.chapters.at(-1)?.heard ?? []
    connection?.cut()
    // The first frame stays, so that there is a cursor to come back with.
    heard.length = Math.max(Math.min(1, heard.length), heard.length - back)
  }

  function stall (): void {
    const held = connection
    if (isStalled || held === undefined) return
    isStalled = true
    release = options.hold?.(connectionName) ?? held.pause()
  }

  function wake (): void {
    if (isStalled) release()
    isStalled = false
  }

  async function leave (): Promise<void> {
    isWanted = false
    connection?.cut()
    await running
  }
}

function lastCursor (chapters: readonly Chapter[]): string | undefined {
  for (const { heard } of chapters.toReversed()) {
    const last = heard.findLast((each) => 'cursor' in each)
    if (last !== undefined && 'cursor' in last) return last.cursor
  }
  return undefined
}
