import { useSignal } from '@preact/signals'
import { visibleText } from '../visible-text.ts'
import { SENTENCES } from '../words.ts'

const MOST_CHARACTERS = 20_000

/** A text with its invisible characters shown. The rest of a very long one is laid out only on request. */
export function LongText ({ text }: { text: string }) {
  const isWhole = useSignal(text.length <= MOST_CHARACTERS)
  if (isWhole.value) return <>{visibleText(text)}</>
  return (
    <>
      {visibleText(text.slice(0, MOST_CHARACTERS))}…{' '}
      <button type='button' onClick={() => { isWhole.value = true }}>{SENTENCES.showAll(text.length)}</button>
    </>
  )
}
