import { eventOf } from './events.ts'

const CURSOR = '1.WyJsIiwiYzhmMGE1NmI5ZTMxNGQ3MiIsMTIzNDU2LCIxNzk1Mzk2ODY3MDAwMDAwMDAwIl0.c2l4dGVlbg'
const ID = 'kab1.1795396867000000000.qQf6y0Dhaizbhx_oYxeK8q'
const MADE = 1000

/**
 * Gives events as frames, so many at a time, as the service would send them: made before, so that making them costs
 * nothing.
 */
export function createBatches (): (count: number) => string[] {
  const made = Array.from(
    { length: MADE },
    (_, n) => `{"type":"event","cursor":"${CURSOR}","event":${JSON.stringify({ id: ID, ...eventOf(n, Date.now()) })}}`
  )
  let next = 0
  return (count) => Array.from({ length: count }, () => made[next++ % MADE] ?? '')
}

/** Sends events, so many every so often, until told otherwise. */
export function createTicker (
  send: (texts: string[]) => void,
  batch = createBatches()
): (each: { events: number, everyMs: number } | null) => void {
  let timer: NodeJS.Timeout | undefined
  return (each) => {
    clearInterval(timer)
    if (each !== null) timer = setInterval(() => send(batch(each.events)), each.everyMs)
  }
}
