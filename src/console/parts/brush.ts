import { useComputed, useSignal, type ReadonlySignal } from '@preact/signals'
import type { TargetedKeyboardEvent, TargetedPointerEvent } from 'preact'

/** A choice of neighbouring bars, by pointer or by keys. */
export interface Brush {
  /** The bar under the pointer, or the one that the keys have reached. */
  readonly active: ReadonlySignal<number | undefined>
  /** The first and the last bar of the choice. */
  readonly chosen: ReadonlySignal<{ readonly low: number, readonly high: number } | undefined>
  readonly handlers: {
    onPointerDown (event: TargetedPointerEvent<HTMLDivElement>): void
    onPointerMove (event: TargetedPointerEvent<HTMLDivElement>): void
    onPointerUp (): void
    onPointerLeave (): void
    onKeyDown (event: TargetedKeyboardEvent<HTMLDivElement>): void
  }
}

/** A drag, or Enter on a bar, ends in `onChoice`. Shift with an arrow key widens the choice. */
export function useBrush (bars: number, onChoice: (low: number, high: number) => void): Brush {
  const active = useSignal<number | undefined>(undefined)
  const anchor = useSignal<number | undefined>(undefined)
  const chosen = useComputed(() => {
    const [from, to] = [anchor.value ?? active.value, active.value]
    return from === undefined || to === undefined ? undefined : { low: Math.min(from, to), high: Math.max(from, to) }
  })
  const last = bars - 1
  return {
    active,
    chosen,
    handlers: {
      onPointerDown (event) {
        event.currentTarget.setPointerCapture(event.pointerId)
        active.value = anchor.value = indexAt(event)
      },
      onPointerMove (event) { active.value = indexAt(event) },
      onPointerUp: choose,
      onPointerLeave () { if (anchor.value === undefined) active.value = undefined },
      onKeyDown
    }
  }

  function indexAt (event: TargetedPointerEvent<HTMLDivElement>): number {
    const { left, width } = event.currentTarget.getBoundingClientRect()
    return within(Math.floor((event.clientX - left) / width * bars))
  }

  function onKeyDown (event: TargetedKeyboardEvent<HTMLDivElement>): void {
    const at = active.value ?? bars
    const moves: Readonly<Record<string, number>> = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }
    const target = moves[event.key]
    if (target === undefined && event.key !== 'Enter') return
    event.preventDefault()
    event.stopPropagation()
    if (target === undefined) return choose()
    if (event.shiftKey) anchor.value ??= within(at)
    else anchor.value = undefined
    active.value = within(target)
  }

  function choose (): void {
    const choice = chosen.value
    active.value = anchor.value = undefined
    if (choice !== undefined) onChoice(choice.low, choice.high)
  }

  function within (index: number): number {
    return Math.min(last, Math.max(0, index))
  }
}
