import { useSignal } from '@preact/signals'
import type { TargetedSubmitEvent } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { useApp } from '../app-context.ts'
import { WORDS } from '../words.ts'

/** Asks for a credential after a 401. It goes to the header `Authorization` of this service alone. */
export function SignIn () {
  const { credential } = useApp()
  return credential.isWanted.value ? <SignInForm /> : null
}

function SignInForm () {
  const { credential } = useApp()
  const schemes = credential.schemes.value
  const scheme = useSignal(schemes[0] ?? 'Bearer')
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => { if (dialog.current?.open === false) dialog.current.showModal() }, [])
  return (
    <dialog
      class='sign-in'
      ref={dialog}
      aria-labelledby='sign-in-title'
      onCancel={(event) => { event.preventDefault() }}
    >
      <form onSubmit={onSubmit}>
        <h2 id='sign-in-title'>{WORDS.signIn}</h2>
        <p>{WORDS.signInHint}</p>
        {credential.isRefused.value && <p role='alert' class='trouble'>{WORDS.refused}</p>}
        {schemes.length > 1 && (
          <label class='field'>
            {WORDS.scheme}
            <select value={scheme.value} onChange={(event) => { scheme.value = event.currentTarget.value }}>
              {schemes.map((each) => <option key={each}>{each}</option>)}
            </select>
          </label>
        )}
        <label class='field'>
          {WORDS.credential}
          <input type='password' name='credential' required autocomplete='off' spellcheck={false} autofocus />
        </label>
        <label><input type='checkbox' name='keep' /> {WORDS.keep}</label>
        <button type='submit' class='primary'>{WORDS.signIn}</button>
      </form>
    </dialog>
  )

  function onSubmit (event: TargetedSubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    const given = new FormData(event.currentTarget)
    const value = String(given.get('credential') ?? '').trim()
    if (value !== '') credential.set(`${scheme.value} ${value}`, given.get('keep') !== null)
  }
}
