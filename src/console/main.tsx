import { render } from 'preact'
import { AppContext } from './app-context.ts'
import { createApp } from './app-state.ts'
import { listenToKeys } from './keys.ts'
import { Page } from './parts/page.tsx'

// The script lies in `console/` of the service, under whatever prefix: its own address tells where the service is.
const app = createApp({
  base: new URL('../', import.meta.url),
  localStorage: allowed(() => localStorage),
  sessionStorage: allowed(() => sessionStorage)
})
listenToKeys(app)

const root = document.getElementById('root')
if (root === null) throw new Error('the page has no root')
render(<AppContext.Provider value={app}><Page /></AppContext.Provider>, root)

/** Storage may be forbidden; then its mere mention throws. */
function allowed (storage: () => Storage): Storage | undefined {
  try {
    return storage()
  } catch {
    return undefined
  }
}
