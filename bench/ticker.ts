import { eventOf } from './events.ts'

const CURSOR = '1.WyJsIiwiYzhmMGE1NmI5ZTMxNGQ3MiIsMTIzNDU2LCIxNzk1Mzk2ODY3MDAwMDAwMDAwIl0.c2l4dGVlbg'
const ID = 'kab1.1795396867000000000.qQf6y0Dhaizbhx_oYxeK8q'

/** Events as frames, so many every so often, as the service would send them: made before, so that making them costs nothing. */
export function createTicker (send: (texts: string[]) => void): (each: { events: number, everyMs: number } | null) => void {
  const made = Array.from({ length: 1000 }, (_, n) => `{"type":"event","cursor":"${CURSOR}","event":${JSON.stringify({ id: ID, ...eventOf(n, Date.now()) })}}`)
  let timer: NodeJS.Timeout | undefined
  let next = 0
  return (each) => {
    clearInterval(timer)
    if (each === null) return
    timer = setInterval(() => {
      const texts = Array.from({ length: each.events }, () => made[next++ % made.length] ?? '')
      send(texts)
    }, each.everyMs)
  }
}
