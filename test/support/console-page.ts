import type { Locator, Page } from 'playwright-core'
import type { Sandbox } from '../../src/sandbox/sandbox.ts'
import { ago, item } from './support.ts'

/** Chromium writes every refused request to its console. */
export const REFUSED = /Failed to load resource|WebSocket connection to/

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
  await page.getByText(`${new Intl.NumberFormat('en').format(count)} loaded${isAll ? '' : '+'}`, { exact: true }).waitFor()
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
  for (let n = 0; n < count; n++) {
    const timestamp = ago((count - n) * 1000)
    sandbox.publish(item({ id: `e${n}`, resource_text: `event number ${n}.`, timestamp, ...fieldsOf(n) }))
  }
}
