import type { Locator, Page } from 'playwright-core'
import type { Sandbox } from '../../src/sandbox/sandbox.ts'
import { evenDates, item } from './support.ts'

/** Chromium writes every refused request to its console. */
export const REFUSED = /Failed to load resource|WebSocket connection to/
const MOST_TABS = 150

/** The rows near the visible part, newest first. */
export function rows (page: Page): Locator {
  return page.getByRole('grid', { name: 'Events' }).getByRole('row').filter({ hasNot: page.getByRole('columnheader') })
}

/** The row with this text. */
export function row (page: Page, text: string): Locator {
  return rows(page).filter({ hasText: text }).first()
}

/** Waits until the list holds so many rows. `isAll`: there are no older ones. */
export async function hasLoaded (page: Page, count: number, isAll = true): Promise<void> {
  await page.getByText(`${new Intl.NumberFormat('en').format(count)}${isAll ? '' : '+'} loaded`, { exact: true }).waitFor()
}

/** Waits until new events are followed. */
export async function isLive (page: Page): Promise<void> {
  await page.getByText('Live', { exact: true }).waitFor()
}

/** The button of a menu. Playwright knows no role of a `summary`. */
export function menu (page: Page, name: string): Locator {
  return page.locator('summary').filter({ hasText: new RegExp(`^\\W*${name}$`) })
}

/** Publishes events `e0`, `e1` and so on, one a second, the newest a second ago. Fields may replace these. */
export function publishNumbered (
  sandbox: Pick<Sandbox, 'publish'>,
  count: number,
  fieldsOf: (n: number) => Record<string, unknown> = () => ({})
): void {
  const dateOf = evenDates(count * 1000, 1000)
  for (let n = 0; n < count; n++) {
    sandbox.publish(item({ id: `e${n}`, resource_text: `event number ${n}.`, timestamp: dateOf(n), ...fieldsOf(n) }))
  }
}

/** Answers the form that asks for a credential. */
export async function signIn (page: Page, credential: string, { isKept = false, kind = '' } = {}): Promise<void> {
  const form = page.getByRole('dialog', { name: 'Sign in' })
  if (kind !== '') await form.getByLabel('Kind').selectOption(kind)
  await form.getByLabel('Credential').fill(credential)
  await form.getByLabel('Keep it until this tab is closed').setChecked(isKept)
  await form.getByRole('button', { name: 'Sign in' }).click()
}

/** The name of what has the focus: its label or its text. */
export async function focused (page: Page): Promise<string> {
  return String(await page.evaluate(`(() => {
    const { activeElement } = document
    return (activeElement.getAttribute('aria-label') ?? activeElement.textContent).trim()
  })()`))
}

/** Moves the focus by the Tab key to what has this name. */
export async function tabTo (page: Page, name: string): Promise<void> {
  const passed: string[] = []
  for (let step = 0; step < MOST_TABS; step++) {
    await page.keyboard.press('Tab')
    const reached = await focused(page)
    if (reached === name) return
    passed.push(reached.slice(0, 30))
  }
  throw new Error(`the Tab key does not reach ${name}, but ${passed.join(' · ')}`)
}

/** Removes the events whose own ids match. */
export function removeEvents (sandbox: Pick<Sandbox, 'remove'>, matches: (id: string) => boolean): void {
  sandbox.remove((event) =>
    typeof event === 'object' && event !== null && 'id' in event && typeof event.id === 'string' && matches(event.id))
}
