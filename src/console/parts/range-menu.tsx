import type { TargetedSubmitEvent } from 'preact'
import { useApp } from '../app-context.ts'
import { USUAL_START, moved, rangeName, rangeOf, writeRange, zoomed } from '../range.ts'
import { fromInputTime, inputTime, zoneName } from '../time-format.ts'
import { PRESETS, WORDS } from '../words.ts'
import { Menu } from './menu.tsx'
import { Link } from './link.tsx'

/** The time range: presets, two times, steps to both sides, and zoom. */
export function RangeMenu () {
  const app = useApp()
  const state = app.url.value
  const nowMs = Date.now()
  const range = rangeOf(state, nowMs)
  const { zone } = state
  return (
    <div class='range' role='group' aria-label={WORDS.range}>
      <Link class='step' to={writeRange(moved(range, -1), nowMs)} label={WORDS.earlier} title={WORDS.earlier}>‹</Link>
      <Menu id='range' label={rangeName(state, zone, nowMs)}>
        <ul>
          {PRESETS.map(([name, start]) => (
            <li key={start}>
              <Link
                to={{ start, end: undefined }}
                isCurrent={(state.start ?? USUAL_START) === start && state.end === undefined}
              >
                {name}
              </Link>
            </li>
          ))}
        </ul>
        <form onSubmit={onSubmit} key={`${range.startMs} ${range.endMs} ${zone}`}>
          <label class='field'>
            {WORDS.from} ({zoneName(zone, range.startMs)})
            <input type='datetime-local' name='start' step={1} required defaultValue={inputTime(range.startMs, zone)} />
          </label>
          <label class='field'>
            {WORDS.to} ({zoneName(zone, range.endMs)})
            <input
              type='datetime-local'
              name='end'
              step={1}
              defaultValue={state.end === undefined ? '' : inputTime(range.endMs, zone)}
            />
          </label>
          <button type='submit'>{WORDS.apply}</button>
        </form>
        <p class='zoom'>
          <Link to={writeRange(zoomed(range, 0.5, nowMs), nowMs)}>{WORDS.zoomIn}</Link>
          <Link to={writeRange(zoomed(range, 2, nowMs), nowMs)}>{WORDS.zoomOut}</Link>
        </p>
      </Menu>
      <Link class='step' to={writeRange(moved(range, 1), nowMs)} label={WORDS.later} title={WORDS.later}>›</Link>
    </div>
  )

  function onSubmit (event: TargetedSubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    const given = new FormData(event.currentTarget)
    const [start, end] = ['start', 'end'].map((name) => fromInputTime(String(given.get(name) ?? ''), zone))
    if (start === undefined) return
    app.go(end !== undefined && end < start ? { start: end, end: start } : { start, end })
  }
}
