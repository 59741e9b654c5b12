/** One call to the upstream that all requests for a key wait for. */
export interface Flight<Outcome> {
  readonly outcome: Promise<Outcome>
  /** One waiting request was closed by its caller. When the last one leaves, the call is aborted. */
  leave (): void
}

/** Lets equal requests share one call (RFC 9211 calls these requests "collapsed"). */
export interface CollapsedForwarding<Outcome> {
  /** Whether a call for this key is in flight. */
  has (key: string): boolean
  /**
   * Joins the call that is in flight, or starts one. An aborted call may still succeed: `produce` receives it, to
   * await it first.
   */
  join (
    key: string,
    produce: (signal: AbortSignal, aborted: Promise<Outcome> | undefined) => Promise<Outcome>
  ): Flight<Outcome>
}

interface Call<Outcome> extends Flight<Outcome> {
  readonly controller: AbortController
  /** Requests that wait, including those that cannot report that they left. */
  waiting: number
}

export function createCollapsedForwarding<Outcome> (): CollapsedForwarding<Outcome> {
  const calls = new Map<string, Call<Outcome>>()

  return {
    has: (key) => calls.has(key),
    join (key, produce) {
      const inFlight = calls.get(key)
      if (inFlight === undefined || inFlight.controller.signal.aborted) return start(key, produce, inFlight?.outcome)
      inFlight.waiting++
      return inFlight
    }
  }

  function start (
    key: string,
    produce: (signal: AbortSignal, aborted: Promise<Outcome> | undefined) => Promise<Outcome>,
    aborted: Promise<Outcome> | undefined
  ): Call<Outcome> {
    const controller = new AbortController()
    const outcome = produce(controller.signal, aborted).finally(() => {
      if (calls.get(key) === call) calls.delete(key) // A later call may have taken the key.
    })
    const call: Call<Outcome> = {
      outcome,
      controller,
      waiting: 1,
      leave () {
        if (--call.waiting === 0) controller.abort()
      }
    }
    calls.set(key, call)
    return call
  }
}
