import type { ComponentChildren, TargetedMouseEvent } from 'preact'
import { useApp } from '../app-context.ts'
import { writeUrlState, type UrlState } from '../url-state.ts'

export interface LinkProps {
  /** What the link changes in the URL. */
  readonly to: Partial<UrlState>
  readonly class?: string
  readonly title?: string
  readonly label?: string
  readonly isCurrent?: boolean | undefined
  readonly children: ComponentChildren
}

/** A link to another state of the page. It opens in a new tab like any link. */
export function Link ({ children, isCurrent, label, to, ...attributes }: LinkProps) {
  const app = useApp()
  return (
    <a
      {...attributes}
      href={writeUrlState({ ...app.url.value, ...to }) || '?'}
      onClick={onClick}
      {...label !== undefined && { 'aria-label': label }}
      {...isCurrent === true && { 'aria-current': 'page' }}
    >
      {children}
    </a>
  )

  function onClick (event: TargetedMouseEvent<HTMLAnchorElement>): void {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    app.go(to)
  }
}
