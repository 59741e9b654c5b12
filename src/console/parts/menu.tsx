import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

/** What ends a visit of the panel. A form has its own end: it may be invalid. */
const ACTS = 'a, button:not([type=submit])'

/** A button with a panel below it. An act in it closes it, and so do Esc and a move elsewhere. */
export function Menu ({ children, class: className = '', label, id }: {
  label: ComponentChildren
  class?: string
  id?: string
  children: ComponentChildren
}) {
  const details = useRef<HTMLDetailsElement>(null)
  useEffect(() => {
    document.addEventListener('pointerdown', closeBeside)
    return () => { document.removeEventListener('pointerdown', closeBeside) }
  }, [])
  return (
    <details
      {...id !== undefined && { id }}
      class={`menu ${className}`}
      ref={details}
      onFocusOut={({ relatedTarget }) => { if (relatedTarget !== null) closeBeside({ target: relatedTarget }) }}
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || details.current?.open !== true) return
        close()
        event.stopPropagation()
      }}
    >
      <summary>{label}</summary>
      <div
        class='panel'
        onClick={({ target }) => { if (target instanceof Element && target.closest(ACTS) !== null) close() }}
        onSubmit={close}
      >
        {children}
      </div>
    </details>
  )

  function close (): void {
    if (details.current === null) return
    details.current.open = false
    details.current.querySelector('summary')?.focus()
  }

  /** Closes the menu when something else is pressed, or has the focus. */
  function closeBeside ({ target }: Pick<Event, 'target'>): void {
    const menu = details.current
    if (menu !== null && target instanceof Node && !menu.contains(target)) menu.open = false
  }
}
