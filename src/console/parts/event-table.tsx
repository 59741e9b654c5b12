import { useComputed, useSignal } from '@preact/signals'
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks'
import { useApp, useMedia } from '../app-context.ts'
import { narrativeOf, statusOf, type EventRow, type Row } from '../row-log.ts'
import { createRowSlots } from '../row-slots.ts'
import { sessionOf } from '../../audit/narrative.ts'
import type { JsonObject } from '../../audit/exact-json.ts'
import { formatInstant } from '../../audit/instant.ts'
import type { PublishedEvent } from '../../client/types.ts'
import { clockTime, dateTime, dayOf, msOf, zoneName } from '../time-format.ts'
import { FEW_COLUMNS, USUAL_COLUMNS, type Column, type UrlState } from '../url-state.ts'
import { oneLine } from '../visible-text.ts'
import { COLUMN_NAMES, KIND_NAMES, REASON_NAMES, SENTENCES, STATUS_NAMES, WORDS, dayHint } from '../words.ts'
import { Link } from './link.tsx'

/** Heights of a row in CSS pixels. All rows are equally high, so the rows to paint follow from the scroll position. */
const ROW_HEIGHT = 28
const WRAPPED_HEIGHT = 66
/** Rows that are painted beyond the visible ones. */
const OVERSCAN = 8
const NEAR_THE_END = 40
const MOST_CHARACTERS = 300
const MOST_WRAPPED_CHARACTERS = 900
const AT_THE_TOP_PX = 4

/** The events, newest first. Only the rows near the visible part are in the document. */
export function EventTable () {
  const { list, url } = useApp()
  const scroller = useRef<HTMLDivElement>(null)
  const [top, height] = [useSignal(0), useSignal(800)]
  const assignSlots = useMemo(createRowSlots, [])
  const { wraps } = url.value
  const columns = useColumns()
  const rowHeight = wraps ? WRAPPED_HEIGHT : ROW_HEIGHT
  const rows = list.rows()
  const first = Math.max(0, Math.floor(top.value / rowHeight) - OVERSCAN)
  const last = Math.min(rows.length, Math.ceil((top.value + height.value) / rowHeight) + OVERSCAN)
  const painted = rows.slice(rows.length - last, rows.length - first).reverse()
  const slots = assignSlots(painted.map(({ id }) => id))
  const activeId = list.activeId.value

  useFollowing(scroller, height)
  useOlderRows(last, rows.length)
  useEffect(() => {
    if (!list.isPaused.value) scroller.current?.scrollTo({ top: 0 })
  }, [list.isPaused.value])
  useLayoutEffect(() => { showActive(scroller.current, list.indexOfActive(), rowHeight) }, [activeId])

  return (
    <div class={wraps ? 'table wraps' : 'table'} ref={scroller} onScroll={onScroll}>
      <div
        role='grid'
        aria-label={WORDS.events}
        aria-rowcount={list.hasOlder.value ? -1 : rows.length + 1}
        aria-colcount={columns.length}
        aria-busy={list.isLoading.value}
        tabIndex={0}
        {...activeId !== undefined && { 'aria-activedescendant': `row-${list.indexOfActive()}` }}
        style={{ '--columns': columns.map((column) => WIDTHS[column]).join(' ') }}
      >
        <div class='row heading' role='row' aria-rowindex={1}>
          {columns.map((column) => <span key={column} role='columnheader'>{COLUMN_NAMES[column]}</span>)}
        </div>
        <div class='rows' role='rowgroup' style={{ blockSize: `${rows.length * rowHeight}px` }}>
          {painted.map((row, index) => {
            const at = first + index
            const newer = rows[rows.length - at]
            return <TableRow key={slots.get(row.id)} {...{ at, columns, newer, row, rowHeight }} />
          })}
        </div>
      </div>
      <Foot />
    </div>
  )

  function onScroll (): void {
    const at = scroller.current?.scrollTop ?? 0
    top.value = at
    if (at > AT_THE_TOP_PX) list.pause('scroll')
    else list.unpause('scroll')
  }
}

interface TableRowProps {
  readonly row: Row
  readonly newer: Row | undefined
  /** Its place from the newest, 0 first. */
  readonly at: number
  readonly rowHeight: number
  readonly columns: readonly Column[]
}

function TableRow ({ at, columns, newer, row, rowHeight }: TableRowProps) {
  const app = useApp()
  const isActive = row.id === app.list.activeId.value
  return (
    <div
      id={`row-${at}`}
      class={rowClass(row, isActive, app.url.value)}
      role='row'
      aria-rowindex={at + 2}
      aria-selected={isActive}
      style={{ transform: `translateY(${at * rowHeight}px)` }}
      onClick={() => { app.open(row) }}
    >
      {row.kind === 'event'
        ? <EventCells row={row} newer={newer} columns={columns} />
        : <MarkCell row={row} span={columns.length} />}
    </div>
  )
}

/** What stands below the oldest row. */
function Foot () {
  const { list } = useApp()
  const oldest = list.rows().at(0)
  const isEmpty = oldest === undefined
  if (!isEmpty && list.isFull()) {
    const end = formatInstant(oldest.instant)
    return <p class='foot'>{WORDS.full} <Link to={{ end, start: undefined }}>{WORDS.listOlder}</Link></p>
  }
  if (list.isLoading.value) return <p class='foot'>{WORDS.loading}</p>
  if (list.hasOlder.value) {
    return (
      <p class='foot'>
        {isEmpty && <>{WORDS.noneSoFar} </>}
        <button type='button' onClick={list.loadOlder}>{WORDS.loadMore}</button>
      </p>
    )
  }
  if (list.trouble.value !== undefined) return null
  return isEmpty
    ? <p class='foot empty'><strong>{WORDS.noEvents}</strong> {WORDS.noEventsHint}</p>
    : <p class='foot'>{WORDS.noMore}</p>
}

/** The chosen columns. A narrow screen shows fewer, unless somebody has chosen. */
function useColumns (): readonly Column[] {
  const { columns } = useApp().url.value
  return useMedia('(max-width: 560px)') && columns.join() === USUAL_COLUMNS.join() ? FEW_COLUMNS : columns
}

function EventCells ({ columns, newer, row }: {
  row: EventRow
  newer: Row | undefined
  columns: readonly Column[]
}) {
  const { wraps, zone } = useApp().url.value
  const cell = { row, newer, zone, most: wraps ? MOST_WRAPPED_CHARACTERS : MOST_CHARACTERS }
  return <>{columns.map((column) => <Cell key={column} column={column} {...cell} />)}</>
}

interface CellProps {
  readonly column: Column
  readonly row: EventRow
  readonly newer: Row | undefined
  readonly zone: UrlState['zone']
  readonly most: number
}

function Cell ({ column, most, newer, row, zone }: CellProps) {
  const { event } = row
  if (column === 'time') return <TimeCell {...{ row, newer, zone }} />
  if (column === 'status') {
    const status = statusOf(event) ?? 'unknown'
    return <span role='gridcell' class={`status ${status}`}>{STATUS_NAMES[status]}</span>
  }
  const { isDimmed = false, text } = textOf(column, row)
  const shown = oneLine(text, most)
  return (
    <span
      role='gridcell'
      class={isDimmed ? `${column} dimmed` : column}
      dir='auto'
      title={column === 'text' ? undefined : shown}
    >
      {shown}
    </span>
  )
}

function TimeCell ({ newer, row, zone }: Pick<CellProps, 'row' | 'newer' | 'zone'>) {
  const ms = msOf(row.event.timestamp)
  const raw = typeof row.event.timestamp === 'string' ? row.event.timestamp : ''
  if (ms === undefined) return <span role='gridcell' class='time' title={raw}>—</span>
  const newerMs = newer?.kind === 'event' ? msOf(newer.event.timestamp) : undefined
  const day = dayOf(ms, zone)
  const isOtherDay = newerMs !== undefined && dayOf(newerMs, zone) !== day
  const other = zone === 'utc' ? 'local' : 'utc'
  return (
    <time
      role='gridcell'
      class={isOtherDay ? 'time day' : 'time'}
      dateTime={raw}
      title={`${dateTime(ms, zone)} ${zoneName(zone, ms)}\n${dateTime(ms, other)} ${zoneName(other, ms)}\n${raw}`}
    >
      {isOtherDay && <b>{dayHint(day)}</b>}{clockTime(ms, zone)}
      {row.isLate && <abbr class='late' title={WORDS.lateHint}>{WORDS.late}</abbr>}
    </time>
  )
}

const TEXTS: Readonly<Partial<Record<Column, (event: PublishedEvent) => string>>> = {
  kind: (event) => KIND_NAMES[narrativeOf(event).kind] ?? narrativeOf(event).kind,
  agent: (event) => narrativeOf(event).agent ?? written(event.category_name),
  user: ({ email }) => written(email),
  tool: (event) => narrativeOf(event).tool ?? '',
  action: ({ action_type: action }) => written(action),
  resource: ({ resource_type: resource }) => written(resource),
  session: (event) => sessionOf(event as JsonObject) ?? ''
}

function textOf (column: Column, { event }: EventRow): { text: string, isDimmed?: boolean } {
  const text = TEXTS[column]
  if (text !== undefined) return { text: text(event) }
  const narrative = narrativeOf(event)
  const tool = narrative.tool === undefined ? '' : `${narrative.tool}: `
  if (narrative.text !== '') return { text: `${tool}${narrative.text}` }
  return { text: `${tool}${written(event.action_type)} ${written(event.resource_type)}`.trim(), isDimmed: true }
}

/** A gap or a reconnect, across all columns. */
function MarkCell ({ row, span }: { row: Exclude<Row, EventRow>, span: number }) {
  const { zone } = useApp().url.value
  if (row.kind === 'reconnect') {
    return (
      <span role='gridcell' class='mark' aria-colspan={span}>
        {dateTime(row.atMs, zone)} — {WORDS.reconnected}
      </span>
    )
  }
  const [from, to] = [row.from, row.to].map((time) => dateTime(msOf(time) ?? 0, zone))
  const reason = REASON_NAMES[row.reason] ?? row.reason
  return (
    <span role='gridcell' class='mark' aria-colspan={span}>
      {SENTENCES.gap(from ?? '', to ?? '', reason)} <Link to={{ start: row.from, end: row.to }}>{WORDS.listIt}</Link>
    </span>
  )
}

/** Keeps the height of the table known, and pauses the list while a text in it is selected. */
function useFollowing (scroller: { current: HTMLDivElement | null }, height: { value: number }): void {
  const { list } = useApp()
  useEffect(() => {
    const table = scroller.current
    if (table === null) return
    const observer = new ResizeObserver(() => { height.value = table.clientHeight })
    observer.observe(table)
    const onSelection = () => {
      const selection = getSelection()
      const isInside = selection !== null && !selection.isCollapsed && table.contains(selection.anchorNode)
      if (isInside) list.pause('selection')
      else list.unpause('selection')
    }
    document.addEventListener('selectionchange', onSelection)
    return () => {
      observer.disconnect()
      document.removeEventListener('selectionchange', onSelection)
    }
  }, [])
}

/** Asks for older rows when the end comes near. */
function useOlderRows (last: number, count: number): void {
  const { list } = useApp()
  const isDue = useComputed(() =>
    list.hasOlder.value && list.hasBrought.value && !list.isLoading.value && list.trouble.value === undefined)
  useEffect(() => {
    if (isDue.value && count > 0 && last >= count - NEAR_THE_END) list.loadOlder()
  })
}

function showActive (table: HTMLDivElement | null, index: number, rowHeight: number): void {
  if (table === null || index < 0) return
  const [from, to] = [index * rowHeight, (index + 2) * rowHeight]
  if (from < table.scrollTop) table.scrollTop = from
  else if (to > table.scrollTop + table.clientHeight) table.scrollTop = to - table.clientHeight
}

function rowClass (row: Row, isActive: boolean, { event }: UrlState): string {
  const kind = row.kind === 'event' ? statusOf(row.event) ?? 'unknown' : row.kind
  return `row ${kind}${isActive ? ' active' : ''}${row.id === event ? ' opened' : ''}`
}

const WIDTHS: Readonly<Record<Column, string>> = {
  time: '8.6rem',
  status: '4.6rem',
  kind: '7rem',
  agent: 'minmax(6rem, 1fr)',
  user: 'minmax(6rem, 1.2fr)',
  text: 'minmax(12rem, 4fr)',
  tool: '9rem',
  action: '8rem',
  resource: '8rem',
  session: '9rem'
}

function written (value: unknown): string {
  return typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value)
}
