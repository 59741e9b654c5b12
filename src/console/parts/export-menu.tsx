import { useApp } from '../app-context.ts'
import { curlCommand } from '../curl.ts'
import { queryOf } from '../url-state.ts'
import { SENTENCES, WORDS } from '../words.ts'
import { Menu } from './menu.tsx'

const FORMATS = ['csv', 'ndjson', 'json', 'txt'] as const

/** The events of the query as a file, and the same question for a shell. */
export function ExportMenu () {
  const app = useApp()
  const timeline = app.timeline.data.value
  const isCounted = timeline?.coverage.complete === true && timeline.by === app.url.value.by
  const events = isCounted ? timeline.buckets.reduce((sum, bucket) => sum + bucket.events, 0) : undefined
  return (
    <Menu id='export' label={WORDS.export}>
      <p>{SENTENCES.exportAll(events === undefined ? WORDS.events.toLowerCase() : SENTENCES.counted(events))}</p>
      <p class='formats'>
        {FORMATS.map((format) => (
          <a key={format} href={address(format).href} download onClick={(event) => { void onClick(event, format) }}>
            {format.toUpperCase()}
          </a>
        ))}
      </p>
      <button type='button' onClick={() => { void app.copy(curlCommand(listAddress(), scheme())) }}>{WORDS.copyCurl}</button>
      <button type='button' onClick={() => { void app.copyLink() }}>{WORDS.copyLink}</button>
    </Menu>
  )

  function address (format: string, ticket?: string): URL {
    const written = new URL('api/v1/audit/export', app.api.base)
    for (const [name, value] of Object.entries(exportQuery(format))) written.searchParams.set(name, value)
    if (ticket !== undefined) written.searchParams.set('ticket', ticket)
    return written
  }

  function exportQuery (format: string): Record<string, string> {
    const given = Object.entries(queryOf(app.url.value)).filter((entry): entry is [string, string] => entry[1] !== undefined)
    return { ...Object.fromEntries(given), format }
  }

  /** A link cannot send `Authorization`: a ticket stands for it. */
  async function onClick (event: MouseEvent, format: string): Promise<void> {
    if (app.credential.value.value === undefined) return
    event.preventDefault()
    const answer = await app.api.exportTicket(exportQuery(format), AbortSignal.timeout(30_000))
    if (!answer.ok) {
      app.notice.value = answer.trouble.detail
      return
    }
    const link = document.createElement('a')
    link.href = address(format, answer.data.ticket).href
    link.download = ''
    link.click()
  }

  function listAddress (): URL {
    const { filter } = app.url.value
    const written = new URL(`api/v1/audit/events${filter.text === undefined ? '' : '/search'}`, app.api.base)
    for (const [name, value] of Object.entries(queryOf(app.url.value))) {
      if (value !== undefined) written.searchParams.set(name, value)
    }
    return written
  }

  function scheme (): string | undefined {
    return app.credential.value.value?.split(' ', 1)[0]
  }
}
