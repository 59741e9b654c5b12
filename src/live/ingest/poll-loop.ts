import type { Clock } from '../../clock.ts'

/** The pause after a poll. */
export interface Pause {
  readonly waitMs: number
  /** Whether the pause is a back-off, which `wake` does not shorten. */
  readonly isBackOff: boolean
}

export interface PollLoopOptions {
  /** Polls once. The signal aborts when the loop stops. */
  readonly poll: (signal: AbortSignal) => Promise<Pause>
  /** A poll without progress for longer counts as hung, milliseconds. */
  readonly patienceMs: number
  readonly clock: Clock
}

/** What the loop does. `idle`: it has not started, or it stops. */
export type PollPhase = 'idle' | 'polling' | 'pausing' | 'backing-off'

/** Polls and pauses in turn; never two polls at once. */
export interface PollLoop {
  start (): void
  /** Ends a pause `waitMs` from now, unless the pause is a back-off. A later call replaces an earlier one. */
  wake (waitMs: number): void
  /** Ends a pause at once, unless it is a back-off. */
  pollNow (): void
  phase (): PollPhase
  /** Notes that the current poll makes progress. */
  noteProgress (): void
  /** Whether no poll hangs. Polls that fail in time are alive, too. */
  isAlive (): boolean
  /** Begins no further poll. Resolves when the current poll has ended. */
  stop (): Promise<void>
}

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'polling' }
  | { readonly kind: 'pausing', readonly pause: Pause, end (): void }

export function createPollLoop ({ clock, patienceMs, poll }: PollLoopOptions): PollLoop {
  const { monotonicMs, setTimer } = clock
  const stopping = new AbortController()
  let state: State = { kind: 'idle' }
  let running: Promise<void> | undefined
  let progressMs = monotonicMs()
  let cancelWake = () => {}

  return { start, wake, pollNow, phase, noteProgress, isAlive, stop }

  function start (): void {
    running ??= run()
  }

  async function run (): Promise<void> {
    while (!stopping.signal.aborted) {
      state = { kind: 'polling' }
      noteProgress()
      const pause = await poll(stopping.signal)
      noteProgress()
      if (!stopping.signal.aborted) await pauseFor(pause)
    }
    state = { kind: 'idle' }
  }

  function pauseFor (pause: Pause): Promise<void> {
    return new Promise((resolve) => {
      const cancel = setTimer(resolve, pause.waitMs)
      state = {
        kind: 'pausing',
        pause,
        end () {
          cancel()
          resolve()
        }
      }
    })
  }

  function wake (waitMs: number): void {
    cancelWake()
    cancelWake = setTimer(pollNow, waitMs)
  }

  function pollNow (): void {
    if (state.kind === 'pausing' && !state.pause.isBackOff) state.end()
  }

  function phase (): PollPhase {
    if (stopping.signal.aborted) return 'idle'
    return state.kind === 'pausing' && state.pause.isBackOff ? 'backing-off' : state.kind
  }

  function noteProgress (): void {
    progressMs = monotonicMs()
  }

  function isAlive (): boolean {
    if (state.kind === 'idle') return true
    const expectedMs = state.kind === 'pausing' ? state.pause.waitMs : 0
    return monotonicMs() - progressMs <= expectedMs + patienceMs
  }

  async function stop (): Promise<void> {
    stopping.abort()
    cancelWake()
    if (state.kind === 'pausing') state.end()
    await running
  }
}
