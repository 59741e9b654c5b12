import type { Socket } from 'node:net'

/** Passes the bytes of each socket to the other, and destroys the other when one closes. `open` holds the open ones. */
export function joinSockets (near: Socket, far: Socket, open: Set<Socket>): void {
  for (const [from, to] of [[near, far], [far, near]] as const) {
    open.add(from)
    from.on('error', () => {}) // `close` follows.
    from.on('close', () => {
      open.delete(from)
      to.destroy()
    })
    from.pipe(to)
  }
}
