import type { Column, FilterName, Outcome, SeriesField, SessionOrder, View } from './url-state.ts'

// Every word of the page. Another language replaces this file.

export const TITLE = 'Kubiya audit'

export const VIEW_NAMES: Readonly<Record<View, string>> = { events: 'Events', sessions: 'Sessions', overview: 'Overview' }

export const FIELD_NAMES: Readonly<Record<FilterName | SeriesField, string>> = {
  category_type: 'Category',
  category_name: 'Agent or source',
  resource_type: 'Resource',
  action_type: 'Action',
  email: 'User',
  tool_name: 'Tool',
  session_id: 'Session',
  status: 'Status',
  text: 'Text'
}

export const COLUMN_NAMES: Readonly<Record<Column, string>> = {
  time: 'Time',
  status: 'Status',
  kind: 'Kind',
  agent: 'Agent',
  user: 'User',
  text: 'What',
  tool: 'Tool',
  action: 'Action',
  resource: 'Resource',
  session: 'Session'
}

export const STATUS_NAMES: Readonly<Record<string, string>> = { success: 'ok', failed: 'failed', unknown: 'unknown' }

export const KIND_NAMES: Readonly<Record<string, string>> = {
  user_message: 'user',
  agent_message: 'agent',
  tool_call: 'tool call',
  tool_output: 'tool output',
  webhook: 'webhook',
  trigger: 'trigger',
  ai: 'model',
  system: 'system'
}

export const OUTCOME_NAMES: Readonly<Record<Outcome, string>> = {
  success: 'success',
  failed: 'failed',
  recovered: 'recovered',
  unknown: 'unknown'
}

export const ORDER_NAMES: Readonly<Record<SessionOrder, string>> = {
  end_time: 'Newest',
  events: 'Most events',
  failed: 'Most failures',
  duration: 'Longest'
}

export const PRESETS: readonly (readonly [name: string, start: string])[] = [
  ['Last 15 minutes', '-15m'],
  ['Last hour', '-1h'],
  ['Last 6 hours', '-6h'],
  ['Last 24 hours', '-24h'],
  ['Last 7 days', '-7d'],
  ['Last 30 days', '-30d']
]

export const UPSTREAM_NAMES: Readonly<Record<string, string>> = {
  ok: 'Kubiya answers',
  degraded: 'Kubiya does not answer',
  throttled: 'Kubiya throttles',
  unauthorized: 'Kubiya refuses the key',
  unknown: 'Kubiya not yet asked'
}

export const REASON_NAMES: Readonly<Record<string, string>> = {
  'history-evicted': 'the service had evicted them before they were delivered',
  'replay-limit': 'there were more than one replay may deliver',
  'upstream-outage': 'Kubiya could not be read',
  'too-large': 'an event was too large to be read',
  failed: 'the service cannot be reached',
  closed: 'the connection was lost',
  silent: 'the connection was silent',
  timeout: 'the connection was too slow',
  shutdown: 'the service is restarting',
  slow: 'this page was too slow',
  'max-age': 'the connection was renewed',
  unauthorized: 'the credential ended'
}

/** The help dialog: keys, and what they do. */
export const KEYS: readonly (readonly [keys: string, meaning: string])[] = [
  ['/', 'Search'],
  ['j  k  ↓  ↑', 'Next and previous event'],
  ['Enter', 'Open the event'],
  ['Esc', 'Close'],
  ['Space', 'Pause or resume'],
  ['g', 'Go to the newest event'],
  ['e', 'Export'],
  ['c', 'Copy a link to this page'],
  ['u', 'UTC or local time'],
  ['w', 'Wrap lines'],
  ['[  ]', 'Earlier and later'],
  ['+  −', 'Zoom in and out'],
  ['1  2  3', 'Events, sessions, overview'],
  ['?', 'This help']
]

export const WORDS = {
  skip: 'Skip to the events',
  search: 'Search in all fields',
  searchHint: 'Search all fields…',
  range: 'Time range',
  from: 'From',
  to: 'To',
  untilNow: 'until now',
  apply: 'Apply',
  clear: 'Clear',
  clearAll: 'Clear all filters',
  remove: 'Remove',
  filters: 'Filters',
  export: 'Export',
  copyCurl: 'Copy as curl',
  copyLink: 'Copy link',
  copyJson: 'Copy JSON',
  copyText: 'Copy text',
  copied: 'Copied',
  notCopied: 'The browser does not let this page copy.',
  help: 'Help',
  keys: 'Keys',
  settings: 'Settings',
  theme: 'Theme',
  system: 'System',
  light: 'Light',
  dark: 'Dark',
  singleKeys: 'Single keys do something',
  announces: 'Announce new events to screen readers',
  columns: 'Columns',
  wrap: 'Wrap lines',
  utc: 'UTC',
  local: 'Local',
  toUtc: 'Show times in UTC',
  toLocal: 'Show local times',
  close: 'Close',
  pause: 'Pause',
  paused: 'Paused',
  live: 'Live',
  connecting: 'Connecting',
  notLive: 'Not live',
  followNew: 'Follow new events',
  histogram: 'Events over time',
  divideBy: 'Divide by',
  zoomIn: 'Zoom in',
  zoomOut: 'Zoom out',
  earlier: 'Earlier',
  later: 'Later',
  partial: 'partly outside of the range',
  events: 'Events',
  newest: 'Newest',
  late: 'late',
  lateHint: 'This event became visible after newer ones.',
  loading: 'Loading…',
  noEvents: 'No events match.',
  noEventsHint: 'Try a longer time range, or fewer filters.',
  noneSoFar: 'None of the events that were looked at match.',
  noMore: 'No older events in this range.',
  loadMore: 'Load older events',
  full: 'This page holds no more rows.',
  listOlder: 'List the older ones',
  other: 'other',
  missing: 'without a value',
  include: 'Show only',
  details: 'Event',
  raw: 'Raw',
  tree: 'Fields',
  previous: 'Previous',
  next: 'Next',
  aroundThis: 'Around this (± 5 min)',
  thisUser: 'This user',
  thisSession: 'This session',
  notFound: 'This event was not found.',
  sessions: 'Sessions',
  session: 'Session',
  backToSessions: 'All sessions',
  conversation: 'Conversation',
  timeline: 'Timeline',
  outcome: 'Outcome',
  anyOutcome: 'Any outcome',
  orderBy: 'Order',
  searchInside: 'Search in this session',
  open: 'open',
  noSessions: 'No sessions match.',
  title: 'Title',
  ended: 'Last event',
  lasted: 'Duration',
  failures: 'Failures',
  people: 'People',
  tools: 'Tools',
  hiddenRepeats: 'Show repeated tool calls',
  arguments: 'Arguments',
  output: 'Output',
  successRate: 'Success rate',
  users: 'Users',
  failingAgents: 'Agents with failures',
  failingTools: 'Tools with failures',
  topUsers: 'Most active users',
  failedLogins: 'Failed logins',
  none: 'None.',
  signIn: 'Sign in',
  signInAgain: 'Sign in again',
  signOut: 'Sign out',
  credential: 'Credential',
  scheme: 'Kind',
  keep: 'Keep it until this tab is closed',
  refused: 'The service refused this credential.',
  signInHint: 'The service asks for a credential. The page sends it to this service only, and keeps it in memory.',
  notices: 'Notices',
  sandbox: 'Sandbox: these events are invented. Set KUBIYA_API_KEY to see yours.',
  listIt: 'List this interval',
  reconnected: 'The connection was lost and is back. Nothing is missing here unless a gap says so.',
  failed: 'This part of the page has failed.',
  retry: 'Try again'
} as const

const NUMBER = new Intl.NumberFormat('en')
const RATE = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })
const PERCENT = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 1 })

export const number = (value: number): string => NUMBER.format(value)
const DAY = new Intl.DateTimeFormat('en', { weekday: 'short', day: 'numeric', month: 'short', timeZone: 'UTC' })
/** `Sat, Nov 28` for `2026-11-28`. */
export const dayHint = (day: string): string => DAY.format(new Date(`${day}T00:00:00Z`))
export const percent = (value: number): string => PERCENT.format(value)

export const SENTENCES = {
  resume: (events: number, failed: number) =>
    `Resume (${number(events)} new${failed === 0 ? '' : `, ${number(failed)} failed`})`,
  announced: (events: number, failed: number) =>
    `${number(events)} new event${events === 1 ? '' : 's'}${failed === 0 ? '' : `, ${number(failed)} failed`}`,
  rate: (perSecond: number) => `${RATE.format(perSecond)}/s`,
  lag: (ms: number) => `${RATE.format(ms / 1000)} s behind`,
  reconnecting: (seconds: number, reason: string) =>
    `Reconnecting ${seconds <= 0 ? 'now' : `in ${seconds} s`}: ${reason}. It goes on where it stopped.`,
  over: (detail: string) => `The stream has ended: ${detail}`,
  gap: (from: string, to: string, reason: string) =>
    `Events may be missing from ${from} to ${to}: ${reason}.`,
  evicted: (count: number) => `${number(count)} of the oldest rows will be dropped when the list goes on: it holds no more.`,
  shown: (count: number, hasMore: boolean) => `${number(count)}${hasMore ? '+' : ''} loaded`,
  counted: (count: number) => `${number(count)} event${count === 1 ? '' : 's'}`,
  countedBackTo: (time: string) => `Counted back to ${time} so far. The rest follows.`,
  countedAsOf: (time: string) => `The counts are as of ${time}.`,
  showAll: (characters: number) => `Show all ${number(characters)} characters`,
  bucket: (from: string, to: string, events: number) => `${from} to ${to}: ${number(events)} events`,
  histogramHint: (width: string) =>
    `Bars of ${width}. Drag or press Enter on a bar to choose a time range; the arrow keys move between bars.`,
  expiring: (time: string) => `The credential expires at ${time}.`,
  exportAll: (count: string) => `Export ${count}`,
  moreSessions: (left: number) => `Load more of ${number(left)}`,
  ranked: (events: number, rate: number | undefined) =>
    rate === undefined ? number(events) : `${number(events)} · ${percent(rate)} ok`,
  known: (known: number, unknown: number) => `${number(known)} known, ${number(unknown)} unknown`,
  unassigned: (count: number) => `${number(count)} events belong to no session.`,
  perSession: (median: number) => `median ${number(median)} events`,
  troubleStatus: (status: number) => status === 0 ? 'The service cannot be reached.' : `The service answered ${status}.`,
  upstream: (name: string, since: string | undefined) => since === undefined ? name : `${name} since ${since}`,
  refusedHost: 'The service refuses this address: set ALLOWED_HOSTS to its host name.'
} as const
