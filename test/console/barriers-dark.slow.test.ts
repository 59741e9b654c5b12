import t from 'tap'
import { inBrowser } from '../support/browser.ts'
import { hasNoBarriers } from '../support/console-barriers.ts'

t.test('no view of the console has barriers: dark', inBrowser, (t) => hasNoBarriers(t, 'dark'))
