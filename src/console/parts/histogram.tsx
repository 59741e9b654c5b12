import { useId } from 'preact/hooks'
import type { Timeline } from '../api.ts'
import { useApp } from '../app-context.ts'
import { dateTime, duration, msOf, shortTime, zoneName, type Zone } from '../time-format.ts'
import { timeTicks } from '../time-ticks.ts'
import type { SeriesField, UrlState } from '../url-state.ts'
import { SENTENCES, STATUS_NAMES, WORDS, number } from '../words.ts'
import { oneLine } from '../visible-text.ts'
import { useBrush } from './brush.ts'
import { Link } from './link.tsx'

const HEIGHT = 100

/** The buckets of a timeline as stacked bars. Dragging over bars, or Enter on one, chooses a time range. */
export function Histogram ({ onRange, timeline }: {
  timeline: Timeline
  onRange: (startMs: number, endMs: number) => void
}) {
  const { zone } = useApp().url.value
  const { buckets, interval_seconds: width, series } = timeline
  const hintId = useId()
  const most = Math.max(1, ...buckets.map(({ events }) => events))
  const { active, chosen, handlers } = useBrush(buckets.length, (low, high) => {
    const [from, to] = [msOf(buckets[low]?.start_time), msOf(buckets[high]?.end_time)]
    if (from !== undefined && to !== undefined) onRange(from, to)
  })
  const bucket = active.value === undefined ? undefined : buckets[active.value]
  const sentence = bucket === undefined ? undefined : sentenceOf(bucket, series, zone)

  return (
    <figure class='histogram'>
      <div class='plot'>
        <span class='scale' aria-hidden='true'>{number(most)}</span>
        <div
          class='bars'
          role='slider'
          tabIndex={0}
          aria-label={WORDS.histogram}
          aria-describedby={hintId}
          aria-valuemin={0}
          aria-valuemax={Math.max(0, buckets.length - 1)}
          aria-valuenow={active.value ?? 0}
          aria-valuetext={sentence ?? WORDS.histogram}
          {...handlers}
        >
          <svg viewBox={`0 0 ${Math.max(1, buckets.length)} ${HEIGHT}`} preserveAspectRatio='none' aria-hidden='true'>
            <BrushMark chosen={chosen.value} />
            {buckets.map((each, index) => <Bar key={each.start_time} bucket={each} {...{ index, most, series }} />)}
          </svg>
        </div>
        <div class='ticks' aria-hidden='true'>
          <Ticks buckets={buckets} zone={zone} />
        </div>
      </div>
      <figcaption id={hintId} class='hidden'>{SENTENCES.histogramHint(duration(width))}</figcaption>
      <div class='below'>
        <Legend by={timeline.by as SeriesField | 'none'} series={series} />
        <p class='bucket' role='status'>{sentence}</p>
      </div>
      <div class='hidden'><NumbersTable {...{ timeline, zone }} /></div>
    </figure>
  )
}

type Bucket = Timeline['buckets'][number]
type Series = Timeline['series']

/** A bucket in words: its times, its events, and how they divide. */
function sentenceOf (bucket: Bucket, series: Series, zone: Zone): string {
  const [from, to] = [msOf(bucket.start_time) ?? 0, msOf(bucket.end_time) ?? 0]
  const parts = series.map(({ value }, at) => [nameOf(value), bucket.counts[at] ?? 0] as const)
    .filter(([, count]) => count > 0).map(([name, count]) => `${name} ${number(count)}`)
  const sentence = SENTENCES.bucket(dateTime(from, zone), shortTime(to, zone), bucket.events)
  return parts.length > 1 ? `${sentence} (${parts.join(', ')})` : sentence
}

/** The times below the bars, and their zone. */
function Ticks ({ buckets, zone }: { buckets: readonly Bucket[], zone: Zone }) {
  const [first, last] = [msOf(buckets[0]?.start_time), msOf(buckets.at(-1)?.end_time)]
  if (first === undefined || last === undefined) return null
  return (
    <>
      {timeTicks({ startMs: first, endMs: last }, zone).map(({ label, part }) => (
        <span key={part} class='tick' style={{ insetInlineStart: `${part * 100}%` }}>{label}</span>
      ))}
      <span class='tick-zone'>{zoneName(zone, last)}</span>
    </>
  )
}

function BrushMark ({ chosen }: { chosen: { low: number, high: number } | undefined }) {
  return chosen === undefined
    ? null
    : <rect class='brush' x={chosen.low} y={0} width={chosen.high - chosen.low + 1} height={HEIGHT} />
}

function Bar ({ bucket, index, most, series }: {
  bucket: Bucket
  index: number
  most: number
  series: Series
}) {
  let y = HEIGHT
  return (
    <g>
      {series.map(({ value }, at) => {
        const height = (bucket.counts[at] ?? 0) / most * HEIGHT
        y -= height
        return height === 0
          ? null
          : <rect key={value} class={seriesClass(value, at)} x={index + 0.08} y={y} width={0.84} height={height} />
      })}
    </g>
  )
}

/** The series and their counts. A series is a filter. */
function Legend ({ by, series }: { by: SeriesField | 'none', series: Series }) {
  const { url } = useApp()
  if (by === 'none') return null
  return (
    <ul class='legend' aria-label={WORDS.divideBy}>
      {series.map(({ events, value }, at) => (
        <li key={value}>
          <i class={seriesClass(value, at)} aria-hidden='true' />
          {value === '' || value === 'unknown'
            ? <span>{nameOf(value)}</span>
            : <Link to={included(url.value, by, value)} title={WORDS.include}><bdi dir='auto'>{nameOf(value)}</bdi></Link>}
          <small>{number(events)}</small>
        </li>
      ))}
    </ul>
  )
}

/** The same numbers for people who do not see bars. */
function NumbersTable ({ timeline, zone }: { timeline: Timeline, zone: Zone }) {
  return (
    <table>
      <caption>{WORDS.histogram}</caption>
      <thead>
        <tr>
          <th scope='col'>{WORDS.from}</th>
          <th scope='col'>{WORDS.events}</th>
          {timeline.series.map(({ value }) => <th key={value} scope='col'>{nameOf(value)}</th>)}
        </tr>
      </thead>
      <tbody>
        {timeline.buckets.map(({ counts, events, partial, start_time: start }) => (
          <tr key={start}>
            <th scope='row'>{dateTime(msOf(start) ?? 0, zone)}{partial === true && ` (${WORDS.partial})`}</th>
            <td>{events}</td>
            {counts.map((count, at) => <td key={timeline.series[at]?.value ?? at}>{count}</td>)}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function included ({ filter }: UrlState, by: SeriesField, value: string): Partial<UrlState> {
  return { filter: { ...filter, [by]: value } }
}

function nameOf (value: string): string {
  return value === '' ? WORDS.other : STATUS_NAMES[value] ?? oneLine(value, 60)
}

function seriesClass (value: string, at: number): string {
  if (value in STATUS_NAMES) return `series ${value}`
  return value === '' ? 'series rest' : `series s${at % 8}`
}
