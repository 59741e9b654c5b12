import { parseComputedId } from '../audit/event-id.ts'
import type { Instant } from '../audit/instant.ts'
import { metered, withReservation, type Requester } from '../audit/requester.ts'
import type { AuditSource, CallerPurpose, Failure } from '../audit/source.ts'
import { isPathSafe } from '../audit/upstream-id.ts'
import type { Clock } from '../clock.ts'
import { representationOf } from './content-encoding.ts'
import { findByComputedId, findByScan, type Lookup } from './find-event.ts'
import type { LogView } from './invalidation.ts'
import { renderEvent } from './page-body.ts'
import { SCAN_PAGE_SIZE } from './page-response.ts'
import type { Produced } from './response-cache.ts'
import { cacheableFor } from './stored-response.ts'

export interface EventResponseContext {
  readonly source: AuditSource
  readonly log: LogView
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** Now by Kubiya's clock. */
  readonly now: () => Instant
  readonly scanLimit: number
  /** Whether enough of the request budget is left to scan on for an event that may not exist. */
  readonly hasPlenty: (key: Requester['key']) => boolean
  readonly closedTtlMs: number
}

const ABSENCE_FRESH_MS = 30_000

/** Finds one event, and makes the complete response: the event, or its absence. */
export async function produceEvent (
  context: EventResponseContext,
  id: string,
  requester: Requester,
  signal: AbortSignal
): Promise<Produced | Failure> {
  const { clock, closedTtlMs, log } = context
  const position = log.position() // Before Kubiya is called: the event may enter the log meanwhile.
  const lookup = await findEvent(context, id, requester, { kind: 'caller', key: requester.key, signal })
  if (!lookup.ok) return lookup
  const { complete, event, scanned, window } = lookup
  const readMs = clock.monotonicMs()
  if (event === undefined) {
    const validity = { readMs, freshMs: ABSENCE_FRESH_MS, logPosition: position }
    return { ok: true, response: { status: 404, window, scanned, complete, ...validity }, keep: true }
  }
  const { body, etag } = await renderEvent(event.json)
  const headers = ['etag', etag, 'cache-control', cacheableFor(closedTtlMs)]
  const identity = representationOf(body)
  return { ok: true, response: { status: 200, etag, headers, identity, readMs, freshMs: closedTtlMs }, keep: true }
}

async function findEvent (
  { hasPlenty, log, now, scanLimit, source }: EventResponseContext,
  id: string,
  requester: Requester,
  purpose: CallerPurpose
): Promise<Lookup | Failure> {
  const computed = parseComputedId(id)
  const instant = computed?.instant
  if (computed !== undefined && instant !== undefined) {
    return withReservation(requester, 1, (reservation) =>
      findByComputedId(metered(source, reservation), id, { ...computed, instant }, purpose))
  }
  if (computed === undefined) {
    // An id that could change the path of the request is looked up in the log instead.
    const found = isPathSafe(id)
      ? await withReservation(requester, 1, (reservation) => metered(source, reservation).find(id, purpose))
      : { ok: true as const, event: log.find(id) }
    if (!found.ok) return found
    if (found.event !== undefined) return { ok: true, event: found.event, window: {}, scanned: 1, complete: true }
  }
  const options = { now: now(), scanLimit, mayGoOn: () => hasPlenty(requester.key), purpose }
  return withReservation(requester, SCAN_PAGE_SIZE, (reservation) =>
    findByScan(metered(source, reservation), id, options))
}
