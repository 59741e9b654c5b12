import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Test } from 'tap'
import { dial } from './raw.ts'

export const EVENTS = '/api/v1/audit/events'
export const STREAM = '/api/v1/audit/stream'
export const OPEN = { connection: 'keep-alive' }
export const many = (count: number, text: string) => text.repeat(count)

/** A connection that sends this, hears everything and is hung up at the end of the test. */
export function call (
  t: Test,
  url: string,
  text: string
): { socket: Socket, heard: () => string, connected: Promise<unknown>, closed: Promise<unknown> } {
  const socket = dial(url)
  let heard = ''
  socket.on('data', (bytes) => { heard += bytes.toString('latin1') })
  const connected = once(socket, 'connect')
  const closed = new Promise((resolve) => { socket.once('close', resolve) }) // `once` would reject at a reset.
  t.teardown(() => socket.destroy())
  socket.write(text)
  return { socket, heard: () => heard, connected, closed }
}
