import { useApp } from '../app-context.ts'
import { WORDS } from '../words.ts'
import { Menu } from './menu.tsx'

const THEMES = ['system', 'light', 'dark'] as const

/** Settings of the page, help, and the way out. */
export function MoreMenu () {
  const { credential, dialog, preferences } = useApp()
  const { announces, singleKeys, theme } = preferences
  return (
    <Menu
      class='more'
      label={
        <span title={WORDS.settings}><span aria-hidden='true'>☰</span><span class='hidden'>{WORDS.settings}</span></span>
      }
    >
      <fieldset>
        <legend>{WORDS.theme}</legend>
        {THEMES.map((each) => (
          <label key={each}>
            <input
              type='radio'
              name='theme'
              checked={theme.value === each}
              onChange={() => { theme.value = each }}
            />
            {WORDS[each]}
          </label>
        ))}
      </fieldset>
      <label>
        <input
          type='checkbox'
          checked={singleKeys.value}
          onChange={(event) => { singleKeys.value = event.currentTarget.checked }}
        />
        {WORDS.singleKeys}
      </label>
      <label>
        <input
          type='checkbox'
          checked={announces.value}
          onChange={(event) => { announces.value = event.currentTarget.checked }}
        />
        {WORDS.announces}
      </label>
      <button type='button' onClick={() => { dialog.value = 'help' }}>{WORDS.help} <kbd>?</kbd></button>
      {credential.value.value !== undefined && (
        <button type='button' onClick={credential.forget}>{WORDS.signOut}</button>
      )}
    </Menu>
  )
}
