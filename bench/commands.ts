/** Answers what the bench asks of this process, one handler a command: the name is the message's key. */
export function answer (handlers: Record<string, (argument: never) => unknown>): void {
  process.on('message', (message: Record<string, unknown> & { id: number }) => {
    const found = Object.entries(handlers).find(([name]) => name in message)
    if (found === undefined) throw new Error(`no such command: ${Object.keys(message).join()}`)
    const [name, handle] = found
    Promise.resolve().then(() => handle(message[name] as never)).then(
      (result) => process.send?.({ id: message.id, answer: result ?? null }),
      (error: unknown) => process.send?.({ id: message.id, error: String(error) })
    )
  })
  process.on('disconnect', () => process.exit())
}
