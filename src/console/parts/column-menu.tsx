import { useApp } from '../app-context.ts'
import { COLUMNS, SERIES_FIELDS, USUAL_COLUMNS, type Column, type SeriesField } from '../url-state.ts'
import { COLUMN_NAMES, FIELD_NAMES, WORDS } from '../words.ts'
import { Menu } from './menu.tsx'

/** Which columns the list has, whether its lines wrap, and what divides the histogram. */
export function ColumnMenu () {
  const app = useApp()
  const { by, columns, wraps } = app.url.value
  return (
    <Menu label={WORDS.columns}>
      <fieldset>
        <legend>{WORDS.columns}</legend>
        {COLUMNS.map((column) => (
          <label key={column}>
            <input type='checkbox' checked={columns.includes(column)} onChange={() => { toggle(column) }} />
            {COLUMN_NAMES[column]}
          </label>
        ))}
      </fieldset>
      <label>
        <input type='checkbox' checked={wraps} onChange={() => { app.go({ wraps: !wraps }, 'replace') }} />
        {WORDS.wrap}
      </label>
      <label class='field'>
        {WORDS.divideBy}
        <select
          value={by}
          onChange={(event) => { app.go({ by: event.currentTarget.value as SeriesField }, 'replace') }}
        >
          {SERIES_FIELDS.map((field) => <option key={field} value={field}>{FIELD_NAMES[field]}</option>)}
        </select>
      </label>
    </Menu>
  )

  function toggle (column: Column): void {
    const chosen = COLUMNS.filter((each) => each === column ? !columns.includes(each) : columns.includes(each))
    app.go({ columns: chosen.length === 0 ? USUAL_COLUMNS : chosen }, 'replace')
  }
}
