import type { Trouble } from '../api.ts'
import { SENTENCES, WORDS } from '../words.ts'

/** What went wrong, and a way to try again. */
export function TroubleNote ({ onRetry, trouble }: { trouble: Trouble, onRetry: () => void }) {
  if (trouble.status === 401) return null // The page asks for a credential.
  const isRefusedHost = trouble.status === 403 || trouble.status === 421
  return (
    <p class='trouble' role='alert'>
      <strong>{SENTENCES.troubleStatus(trouble.status)}</strong> {trouble.detail}
      {isRefusedHost && ` ${SENTENCES.refusedHost}`} <button type='button' onClick={onRetry}>{WORDS.retry}</button>
    </p>
  )
}
