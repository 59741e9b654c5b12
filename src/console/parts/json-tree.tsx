import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { ExactNumber, type Json, type JsonObject } from '../../audit/exact-json.ts'
import { visibleText } from '../visible-text.ts'
import { LongText } from './long-text.tsx'

const MOST_SHOWN = 500
const OPEN_DEPTH = 2

/** A JSON value as a tree that opens and closes. Its texts keep their own direction. */
export function JsonTree ({ depth = 0, value }: { value: Json, depth?: number }) {
  if (typeof value !== 'object' || value === null || value instanceof ExactNumber) return <Scalar value={value} />
  const entries = Object.entries(value)
  if (entries.length === 0) return <code>{Array.isArray(value) ? '[]' : '{}'}</code>
  return (
    <ul class='tree'>
      {entries.slice(0, MOST_SHOWN).map(([key, inner]) => (
        <li key={key}><Member name={key} value={inner} depth={depth} /></li>
      ))}
      {entries.length > MOST_SHOWN && <li>… {entries.length - MOST_SHOWN}</li>}
    </ul>
  )
}

function Member ({ depth, name, value }: { name: string, value: Json, depth: number }) {
  const label = <bdi dir='auto' class='key'>{visibleText(name)}</bdi>
  const isBranch = typeof value === 'object' && value !== null && !(value instanceof ExactNumber) &&
    Object.keys(value).length > 0
  if (!isBranch) return <>{label}: <Scalar value={value} /></>
  return <Branch depth={depth} label={label} value={value} />
}

/** What is closed is not in the document: a value may be deep and wide. */
function Branch ({ depth, label, value }: { depth: number, label: ComponentChildren, value: Json[] | JsonObject }) {
  const isOpen = useSignal(depth < OPEN_DEPTH)
  return (
    <details open={isOpen.value} onToggle={(event) => { isOpen.value = event.currentTarget.open }}>
      <summary>{label} <small>{Array.isArray(value) ? `[${value.length}]` : ''}</small></summary>
      {isOpen.value && <JsonTree value={value} depth={depth + 1} />}
    </details>
  )
}

function Scalar ({ value }: { value: Json }) {
  if (value instanceof ExactNumber) return <code class='number'>{value.source}</code>
  if (typeof value === 'string') return <bdi dir='auto' class='string'><LongText text={value} /></bdi>
  return <code class={typeof value}>{JSON.stringify(value)}</code>
}
