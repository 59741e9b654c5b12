import type { App } from './app-state.ts'
import { moved, rangeOf, writeRange, zoomed } from './range.ts'
import { VIEWS } from './url-state.ts'

/** They act on these keys themselves, or scroll. */
const OWNERS = 'a, button, summary, select, [role=slider], .detail'
const OWNED: ReadonlySet<string> = new Set(['Enter', ' ', 'ArrowDown', 'ArrowUp'])

/** What each key does while no field has the focus. The help dialog lists them. */
export function listenToKeys (app: App): void {
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return
    const { target } = event
    if (event.key === 'Escape') return closeWhatIsOpen(app)
    if (isField(target) || isInDialog(target)) return
    const act = actionOf(app, event.key, target)
    if (act === undefined) return
    event.preventDefault()
    act()
  })
}

function actionOf (app: App, key: string, target: EventTarget | null): (() => void) | undefined {
  const isInList = app.url.value.view === 'events'
  const hasItsOwn = target instanceof Element && target.closest(OWNERS) !== null
  if (hasItsOwn && OWNED.has(key)) return undefined
  if (isInList && key === 'ArrowDown') return () => { moveInList(app, 1) }
  if (isInList && key === 'ArrowUp') return () => { moveInList(app, -1) }
  if (isInList && key === 'Enter') return () => { app.open() }
  return app.preferences.singleKeys.value ? singleKeyOf(app, key, isInList) : undefined
}

function singleKeyOf (app: App, key: string, isInList: boolean): (() => void) | undefined {
  const { list, url } = app
  const nowMs = Date.now()
  const range = rangeOf(url.value, nowMs)
  const goTo = (to: typeof range) => { app.go(writeRange(to, nowMs)) }
  const inList: Readonly<Record<string, () => void>> = {
    j: () => { moveInList(app, 1) },
    k: () => { moveInList(app, -1) },
    ' ': () => { if (list.isPaused.value) list.resume(); else list.pause('person') },
    g: list.resume,
    w: () => { app.go({ wraps: !url.value.wraps }, 'replace') }
  }
  const anywhere: Readonly<Record<string, () => void>> = {
    '/': () => { document.getElementById('search')?.focus() },
    e: () => { openMenu('export') },
    c: () => { void app.copyLink() },
    u: () => { app.go({ zone: url.value.zone === 'utc' ? 'local' : 'utc' }, 'replace') },
    '[': () => { goTo(moved(range, -1)) },
    ']': () => { goTo(moved(range, 1)) },
    '+': () => { goTo(zoomed(range, 0.5, nowMs)) },
    '-': () => { goTo(zoomed(range, 2, nowMs)) },
    '?': () => { app.dialog.value = 'help' }
  }
  const view = VIEWS[Number(key) - 1]
  if (view !== undefined) return () => { app.go({ view, session: undefined, event: undefined }) }
  return (isInList ? inList[key] : undefined) ?? anywhere[key]
}

/** The list takes the focus, so that a screen reader reads the row. An open event stays open, and shows that row. */
function moveInList (app: App, by: number): void {
  app.list.moveActive(by)
  if (app.url.value.event !== undefined) app.open()
  else document.querySelector<HTMLElement>('[role=grid]')?.focus({ preventScroll: true })
}

function closeWhatIsOpen (app: App): void {
  const { target } = { target: document.activeElement }
  if (isInDialog(target) && target?.closest('.detail') === null) return // The browser closes it.
  if (app.url.value.event !== undefined) app.go({ event: undefined })
  else if (isField(target) && target instanceof HTMLElement) target.blur()
}

function openMenu (id: string): void {
  const menu = document.getElementById(id)
  if (!(menu instanceof HTMLDetailsElement)) return
  menu.open = true
  menu.querySelector<HTMLElement>('a, button')?.focus()
}

function isField (target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  const isTyped = target instanceof HTMLInputElement && !['checkbox', 'radio', 'button', 'submit'].includes(target.type)
  return isTyped || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement
}

function isInDialog (target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('dialog') !== null
}
