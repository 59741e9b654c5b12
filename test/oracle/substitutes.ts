import { compileFilter } from '../../src/audit/filter.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { AuditSource } from '../../src/audit/source.ts'
import type { FrameCache } from '../../src/live/fanout/frame-cache.ts'
import { instantOf, type LogReader } from '../../src/live/log/event-log.ts'
import { helloFrame } from '../../src/live/transport/frames.ts'
import type { Hub } from '../../src/live/fanout/hub.ts'
import type { Transport } from '../../src/live/transport/transport.ts'
import { prepareBatch } from '../../src/live/transport/prepared-batch.ts'

/** A source whose events are told apart as Kubiya's CLI does it. */
export function withCliKey (source: AuditSource): AuditSource {
  return changing(source, (answer) => ({ ...answer, events: answer.events.map(keyed) }))
}

function keyed (event: AuditEvent): AuditEvent {
  const { category_type: kind, category_name: name, action_type: action, timestamp } = event.item
  const id = [kind, name, action, timestamp].map(String).join(':')
  return { ...event, id, json: event.json.replace(JSON.stringify(event.id), JSON.stringify(id)) }
}

/** A source that takes the first answer for all there is. */
export function withOnePage (source: AuditSource): AuditSource {
  return changing(source, (answer) => ({ ...answer, end: true }))
}

type Answer = Extract<Awaited<ReturnType<AuditSource['read']>>, { ok: true }>

function changing (source: AuditSource, change: (answer: Answer) => Answer): AuditSource {
  return {
    ...source,
    async read (query, purpose) {
      const answer = await source.read(query, purpose)
      return answer.ok ? change(answer) : answer
    }
  }
}

/**
 * A hub that sends the backlog at once and adds the stream to the live ones in a later turn. Without a delay it does
 * both in one turn.
 */
export function withLateJoin (delayMs: number | undefined): (hub: Hub, log: LogReader, frameCache: FrameCache) => Hub {
  return (hub, log, frameCache) => ({
    ...hub,
    subscribe (request, transport) {
      const { start } = request
      if (!('from' in start) || start.from < log.completeSince()) return hub.subscribe(request, transport)
      const matches = compileFilter(request.filter)
      const backlog = log.read(log.startOffset(), log.end().offset - log.startOffset()) ?? []
      const wanted = backlog.filter((entry) =>
        ('gap' in entry || matches(entry.event.item)) && (instantOf(entry) ?? entry.highWater) >= start.from
      )
      transport.send(prepareBatch([helloFrame(log.end(), false, 0), ...wanted.map(frameCache.entry)]))
      let drop = () => {}
      if (delayMs === undefined) addToLive()
      const timer = delayMs === undefined ? undefined : setTimeout(addToLive, delayMs)
      return {
        disconnected () {
          clearTimeout(timer)
          drop()
        },
        end: () => {}
      }

      function addToLive (): void {
        const subscription = hub.subscribe({ ...request, start: { since: log.end() } }, withoutHello(transport))
        drop = () => subscription.disconnected()
      }
    }
  })
}

function withoutHello (transport: Transport): Transport {
  return {
    kind: transport.kind,
    send: ({ frames }) => transport.send(prepareBatch(frames.filter(({ type }) => type !== 'hello'))),
    writableBytes: () => transport.writableBytes(),
    backlogBytes: () => transport.backlogBytes(),
    flushedBytes: () => transport.flushedBytes(),
    onFlushed: (resume) => transport.onFlushed(resume),
    keepAlive: () => transport.keepAlive(),
    end: (ending) => transport.end(ending)
  }
}
