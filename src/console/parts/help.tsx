import { useEffect, useRef } from 'preact/hooks'
import { useApp } from '../app-context.ts'
import { KEYS, WORDS } from '../words.ts'

export function Help () {
  const { dialog } = useApp()
  return dialog.value === 'help' ? <HelpDialog /> : null
}

function HelpDialog () {
  const { dialog, preferences } = useApp()
  const element = useRef<HTMLDialogElement>(null)
  useEffect(() => { if (element.current?.open === false) element.current.showModal() }, [])
  return (
    <dialog class='help' ref={element} aria-labelledby='help-title' onClose={() => { dialog.value = undefined }}>
      <form method='dialog'>
        <h2 id='help-title'>{WORDS.keys}</h2>
        <table>
          <tbody>
            {KEYS.map(([keys, meaning]) => (
              <tr key={keys}>
                <th scope='row'>{keys.split(/ +/).map((key) => <kbd key={key}>{key}</kbd>)}</th>
                <td>{meaning}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <label>
          <input
            type='checkbox'
            checked={preferences.singleKeys.value}
            onChange={(event) => { preferences.singleKeys.value = event.currentTarget.checked }}
          />
          {WORDS.singleKeys}
        </label>
        <p><button type='submit' class='primary'>{WORDS.close}</button></p>
      </form>
    </dialog>
  )
}
