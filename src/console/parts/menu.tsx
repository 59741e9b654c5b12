import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

/** A button with a panel below it. Esc, or a click elsewhere, closes it. */
export function Menu ({ children, class: className = '', label, id }: {
  label: ComponentChildren
  class?: string
  id?: string
  children: ComponentChildren
}) {
  const details = useRef<HTMLDetailsElement>(null)
  useEffect(() => {
    const onPress = (event: Event) => {
      const menu = details.current
      if (menu?.open === true && event.target instanceof Node && !menu.contains(event.target)) menu.open = false
    }
    document.addEventListener('pointerdown', onPress)
    return () => { document.removeEventListener('pointerdown', onPress) }
  }, [])
  return (
    <details
      {...id !== undefined && { id }}
      class={`menu ${className}`}
      ref={details}
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || details.current?.open !== true) return
        details.current.open = false
        details.current.querySelector('summary')?.focus()
        event.stopPropagation()
      }}
    >
      <summary>{label}</summary>
      <div class='panel'>{children}</div>
    </details>
  )
}
