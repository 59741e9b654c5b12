import type { TargetedSubmitEvent } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { useApp } from '../app-context.ts'
import { FILTER_NAMES, VIEWS } from '../url-state.ts'
import { FIELD_NAMES, STATUS_NAMES, TITLE, VIEW_NAMES, WORDS } from '../words.ts'
import { oneLine } from '../visible-text.ts'
import { Link } from './link.tsx'
import { MoreMenu } from './more-menu.tsx'
import { RangeMenu } from './range-menu.tsx'
import { ExportMenu } from './export-menu.tsx'

export function Header () {
  const app = useApp()
  const { view, zone } = app.url.value
  return (
    <header class='top'>
      <h1><Link to={{ view: 'events', event: undefined, session: undefined }}>{TITLE}</Link></h1>
      <nav class='views' aria-label={TITLE}>
        {VIEWS.map((each) => (
          <Link key={each} to={{ view: each, session: undefined, event: undefined }} isCurrent={each === view}>
            {VIEW_NAMES[each]}
          </Link>
        ))}
      </nav>
      <SearchField />
      <RangeMenu />
      <button
        type='button'
        class='zone'
        title={zone === 'utc' ? WORDS.toLocal : WORDS.toUtc}
        onClick={() => { app.go({ zone: zone === 'utc' ? 'local' : 'utc' }, 'replace') }}
      >
        {zone === 'utc' ? WORDS.utc : WORDS.local}
      </button>
      <ExportMenu />
      <MoreMenu />
    </header>
  )
}

/** Searches on Enter, or when the field becomes empty. The element stays, so it keeps the focus. */
function SearchField () {
  const app = useApp()
  const { filter } = app.url.value
  const field = useRef<HTMLInputElement>(null)
  useLayoutEffect(() => { if (field.current !== null) field.current.value = filter.text ?? '' }, [filter.text])
  return (
    <form class='search' role='search' onSubmit={onSubmit}>
      <input
        ref={field}
        id='search'
        type='search'
        name='text'
        dir='auto'
        maxLength={256}
        autocomplete='off'
        placeholder={WORDS.searchHint}
        aria-label={WORDS.search}
        onInput={({ currentTarget }) => { if (currentTarget.value === '' && filter.text !== undefined) search('') }}
      />
    </form>
  )

  function onSubmit (event: TargetedSubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    search(String(new FormData(event.currentTarget).get('text') ?? ''))
  }

  function search (text: string): void {
    app.go({ filter: { ...filter, text: text === '' ? undefined : text } })
  }
}

/** The filters that hold now. Each can be taken away. */
export function FilterChips () {
  const { url } = useApp()
  const { filter } = url.value
  const chosen = FILTER_NAMES.filter((name) => filter[name] !== undefined)
  if (chosen.length === 0) return null
  return (
    <div class='chips' role='group' aria-label={WORDS.filters}>
      {chosen.map((name) => {
        const value = name === 'status' ? STATUS_NAMES[filter[name] ?? ''] ?? filter[name] ?? '' : filter[name] ?? ''
        return (
          <Link
            key={name}
            class='chip'
            to={{ filter: { ...filter, [name]: undefined } }}
            label={`${WORDS.remove} ${FIELD_NAMES[name]}: ${value}`}
          >
            {FIELD_NAMES[name]}: <bdi dir='auto'>{oneLine(value, 60)}</bdi> <span aria-hidden='true'>×</span>
          </Link>
        )
      })}
      {chosen.length > 1 && <Link class='clear' to={{ filter: {} }}>{WORDS.clearAll}</Link>}
    </div>
  )
}
