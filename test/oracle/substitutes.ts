import { compileFilter } from '../../src/audit/filter.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { AuditSource } from '../../src/audit/source.ts'
import type { Encoder } from '../../src/live/encoding.ts'
import { instantOf, type EventLog } from '../../src/live/event-log.ts'
import { helloFrame } from '../../src/live/frames.ts'
import type { Hub } from '../../src/live/hub.ts'
import type { Outlet } from '../../src/live/outlet.ts'
import { parcelOf } from '../../src/live/parcel.ts'

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
 * A hub that gives the backlog at once and adds the stream to those who are live in a later turn; or, where no delay is
 * given, in the same one.
 */
export function withLateJoin (delayMs: number | undefined): (hub: Hub, log: EventLog, encoder: Encoder) => Hub {
  return (hub, log, encoder) => ({
    ...hub,
    subscribe (request, outlet) {
      const { start } = request
      if (!('from' in start) || !log.reachesBackTo(start.from)) return hub.subscribe(request, outlet)
      const matches = compileFilter(request.filter)
      const backlog = log.read(log.oldest(), log.head().offset - log.oldest()) ?? []
      const wanted = backlog.filter((entry) => ('gap' in entry || matches(entry.event.item)) && (instantOf(entry) ?? entry.highWater) >= start.from)
      outlet.send(parcelOf([helloFrame(log.head(), false, 0), ...wanted.map(encoder.entry)]))
      let drop = () => {}
      if (delayMs === undefined) addToLive()
      const timer = delayMs === undefined ? undefined : setTimeout(addToLive, delayMs)
      return {
        drop () {
          clearTimeout(timer)
          drop()
        },
        end: () => {}
      }

      function addToLive (): void {
        const subscription = hub.subscribe({ ...request, start: { since: log.head() } }, withoutHello(outlet))
        drop = () => subscription.drop()
      }
    }
  })
}

function withoutHello (outlet: Outlet): Outlet {
  return {
    kind: outlet.kind,
    send: ({ frames }) => outlet.send(parcelOf(frames.filter(({ type }) => type !== 'hello'))),
    room: () => outlet.room(),
    unsent: () => outlet.unsent(),
    taken: () => outlet.taken(),
    afterwards: (resume) => outlet.afterwards(resume),
    keepAlive: () => outlet.keepAlive(),
    end: (ending) => outlet.end(ending)
  }
}
