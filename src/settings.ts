import { Type, type Static } from '@sinclair/typebox'

const count = (fallback: number, minimum: number, maximum: number, description: string) =>
  Type.Integer({ default: fallback, minimum, maximum, description })
const DAY_MS = 86_400_000
const LONGEST_TIMER_MS = 2_147_483_647 // A longer timer of Node overflows and fires at once.

/** The schema of the environment. docs/settings.md is generated from it. The names are public. */
export const Settings = Type.Object({
  HOST: Type.String({
    default: '127.0.0.1',
    minLength: 1,
    description:
      'Address to listen on. Any other address than loopback requires an `AUTH_MODE` or `ALLOW_ANONYMOUS=true`, ' +
        'except with the sandbox.'
  }),
  PORT: count(3000, 0, 65_535, 'Port to listen on. 0: any free port, which the log names.'),
  LOG_LEVEL: Type.Union(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map((level) => Type.Literal(level)),
    { default: 'info', description: 'Least severe level of log lines, or `silent`.' }
  ),
  METRICS_PORT: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 65_535,
      description:
        'Separate port for `/metrics`, which `PORT` then does not serve. 0: any free port, which the log names.'
    })
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
    Type.String({
      pattern: '^https?://[^\\s]+$',
      description:
        'URL of an OpenTelemetry collector for spans over HTTP, such as `http://127.0.0.1:4318`. Unset: no tracing. ' +
          "OpenTelemetry's other variables apply too."
    })
  ),
  NODE_ENV: Type.Optional(Type.String({ description: 'With `production`, the service does not start without a key.' })),
  ALLOW_ANONYMOUS: Type.Boolean({
    default: false,
    description:
      'Allows `AUTH_MODE=none` on a `HOST` that is not loopback. Everyone who reaches the service can then read.'
  }),
  ALLOW_PLAIN_HTTP: Type.Boolean({
    default: false,
    description:
      'Permits `http` beyond loopback in `KUBIYA_BASE_URL` and `AUTH_JWKS_URL`. Others on the network can then ' +
        'read and change the traffic.'
  }),

  KUBIYA_API_KEY: Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7e]{1,8192}$',
      description:
        'Kubiya API key, sent as `Authorization: UserKey …` and never shown. Unset: the embedded sandbox is used.'
    })
  ),
  KUBIYA_API_KEY_FILE: Type.Optional(
    Type.String({ description: 'File with this key, read at start, instead of `KUBIYA_API_KEY`.' })
  ),
  KUBIYA_BASE_URL: Type.String({
    default: 'https://api.kubiya.ai',
    pattern: '^https?://[^\\s]+$',
    description: "Base URL of Kubiya, with or without `/api/v1`. A gateway's path prefix is kept."
  }),
  KUBIYA_ORGANIZATION_ID: Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7e]{1,256}$',
      description: 'Sent as `X-Organization-ID`. A key usually implies it.'
    })
  ),
  KUBIYA_SESSION_FILTER: Type.Union([
    Type.Literal('extra.session_id'),
    Type.Literal('session_id'),
    Type.Literal('local')
  ], {
    default: 'extra.session_id',
    description:
      'Filter key for sessions in requests to Kubiya. When it finds nothing, the other key is tried. `local`: this ' +
        'service filters sessions itself.'
  }),
  KUBIYA_REQUESTS_PER_MINUTE: count(
    100,
    0,
    1_000_000,
    'Maximum of requests to Kubiya in any minute. 0: no limit. The sandbox has none.'
  ),
  KUBIYA_REQUESTS_PER_DAY: count(
    5000,
    0,
    100_000_000,
    'Maximum of requests to Kubiya in any 24 hours. 0: no limit. The sandbox has none.'
  ),
  UPSTREAM_TIMEOUT_MS: count(
    10_000,
    10,
    300_000,
    'Deadline of one call to Kubiya, from the connection to the last byte, including all tries.'
  ),
  UPSTREAM_MAX_BYTES: count(8_388_608, 1024, 1_073_741_824, 'Maximum bytes of an answer of Kubiya, decompressed.'),

  POLL_INTERVAL_MS: count(3000, 20, DAY_MS, 'Interval between two polls while events arrive.'),
  POLL_MAX_INTERVAL_MS: count(
    30_000,
    20,
    DAY_MS,
    'Longest interval between two polls while no events arrive. Without subscribers it is at least 60 000.'
  ),
  POLL_PAGE_SIZE: count(1000, 1, 10_000, 'Page size of the poller\'s requests.'),
  LATENESS_MS: count(120_000, 0, DAY_MS, 'How late an event may become visible in Kubiya and still be delivered live.'),
  HISTORY_EVENTS: count(10_000, 1, 10_000_000, 'Maximum of events in the log, from which streams resume.'),
  HISTORY_BYTES: count(
    67_108_864,
    65_536,
    68_719_476_736,
    'Maximum of bytes in the log, from which streams resume.'
  ),
  SEARCH_SCAN_LIMIT: count(
    10_000,
    1,
    10_000_000,
    'Maximum of events that one search, or one describe by an upstream id, reads.'
  ),
  AGGREGATE_HOURS: count(
    24,
    0,
    720,
    'How many hours of events are kept in memory for counts, once a count was asked. 0: each count reads Kubiya.'
  ),
  AGGREGATE_EVENTS: count(200_000, 1000, 10_000_000, 'Maximum of events that are kept for counts; some 80 bytes each.'),
  AGGREGATE_SCAN_LIMIT: count(
    100_000,
    1000,
    10_000_000,
    'Maximum of events that one count without `text` reads, if memory does not hold them.'
  ),
  REPLAY_LIMIT: count(10_000, 1, 10_000_000, 'Maximum of past events that one stream replays before it is live.'),

  CACHE_MAX_BYTES: count(67_108_864, 0, 68_719_476_736, 'Memory of cached answers. 0: no cache.'),
  CACHE_OPEN_TTL_MS: count(
    10_000,
    0,
    DAY_MS,
    'How long an answer about an open window is fresh. A new event that belongs to it makes it stale at once.'
  ),
  CACHE_CLOSED_TTL_MS: count(
    3_600_000,
    0,
    30 * DAY_MS,
    'How long an answer about a closed window, or about a single event, is fresh.'
  ),
  CACHE_STALE_MS: count(
    300_000,
    0,
    30 * DAY_MS,
    'How long a stale answer may be served while it is refreshed (`stale-while-revalidate`).'
  ),
  CACHE_STALE_IF_ERROR_MS: count(
    3_600_000,
    0,
    30 * DAY_MS,
    'How long a stale answer may be served while Kubiya fails (`stale-if-error`).'
  ),

  MAX_SUBSCRIBERS: count(20_000, 0, 1_000_000, 'Maximum of live streams.'),
  MAX_SUBSCRIBERS_PER_CLIENT: count(
    0,
    0,
    1_000_000,
    'Maximum of live streams of one caller. 0: no limit. 100 is sensible when exposed.'
  ),
  SUBSCRIBER_BACKLOG_BYTES: count(
    65_536,
    1024,
    1_073_741_824,
    'Unsent bytes of a stream at which writes pause until its reader has caught up.'
  ),
  MAX_EXPORTS: count(4, 0, 1000, 'Maximum of exports in progress. Each caller has one at a time.'),
  EXPORT_LIMIT: count(
    1_000_000,
    1,
    10_000_000,
    'Maximum of events that one export reads. A longer one ends as incomplete, and its cursor continues there.'
  ),
  HEARTBEAT_MS: count(20_000, 50, DAY_MS, 'Interval between two heartbeats of a stream.'),
  STREAM_MAX_AGE_MS: count(
    0,
    0,
    LONGEST_TIMER_MS,
    'Age at which a stream ends with `max-age`, so that its client reconnects. 0: never.'
  ),
  STREAM_COMPRESSION: Type.Boolean({
    default: true,
    description:
      'Uses `permessage-deflate` with WebSocket clients that offer it. A live event is compressed once for all of them.'
  }),
  DRAIN_MS: count(20_000, 0, 3_600_000, 'Time over which a shutdown ends the streams.'),

  AUTH_MODE: Type.Union(['none', 'token', 'jwt', 'passthrough'].map((mode) => Type.Literal(mode)), {
    default: 'none',
    description:
      'Required credential. `none`: no credential. `token`: a token of `AUTH_TOKENS`. `jwt`: a JSON Web Token. ' +
        '`passthrough`: a credential that Kubiya accepts; requests to Kubiya use it.'
  }),
  AUTH_TOKENS: Type.Optional(
    Type.String({ description: 'Tokens of mode `token`, separated by commas, each with at least 16 characters.' })
  ),
  AUTH_TOKENS_FILE: Type.Optional(
    Type.String({
      description:
        'File with such tokens, one per line; `#` starts a comment. It is read again every `AUTH_RECHECK_MS`. The ' +
          'streams of a removed token end.'
    })
  ),
  AUTH_JWKS_URL: Type.Optional(Type.String({ description: 'URL of the JWK Set for mode `jwt`.' })),
  AUTH_ISSUER: Type.Optional(Type.String({ description: 'Required `iss` of tokens.' })),
  AUTH_AUDIENCE: Type.Optional(Type.String({ description: 'Required `aud` of tokens.' })),
  AUTH_CLOCK_TOLERANCE_MS: count(
    5000,
    0,
    300_000,
    "Tolerated difference to the issuer's clock. Tokens are valid for so much longer."
  ),
  AUTH_RECHECK_MS: count(60_000, 100, DAY_MS, 'How long a verified credential is not verified again.'),
  ALLOWED_ORIGINS: Type.Optional(
    Type.String({
      description:
        'Origins, such as `https://app.example.com`, separated by commas, whose pages may stream and read answers. ' +
          "Unset: only pages of the service's own address may."
    })
  ),
  ALLOWED_HOSTS: Type.Optional(Type.String({
    description:
      'Host names of the service, such as `audit.example.com`, separated by commas. `*`: any name. With ' +
        '`AUTH_MODE=none`, any other name is refused, except an address, `localhost`, a host of `ALLOWED_ORIGINS`, ' +
        'and a private name where `HOST` is not loopback. Pages of a listed name may stream.'
  })),
  CONSOLE: Type.Boolean({
    default: true,
    description:
      'Serves the console, a page to look at events, at `/console/`. `/` leads browsers there ' +
        '([docs/console.md](console.md)).'
  }),
  COMPATIBLE_API: Type.Boolean({
    default: true,
    description:
      "Serves Kubiya's own routes below `/api/v1/auditing/items`, for programs that speak Kubiya's API " +
        '([docs/compatible.md](compatible.md)).'
  }),
  BASE_PATH: Type.Optional(
    Type.String({
      pattern: '^(/[A-Za-z0-9._~-]+)+$',
      description:
        'Path under which a proxy offers the service, such as `/audit`. It is prepended to `next`; the proxy removes ' +
          'it from requests. Unset: `X-Forwarded-Prefix` applies, when a proxy of `TRUST_PROXY` sends it.'
    })
  ),
  TRUST_PROXY: Type.String({
    default: 'false',
    pattern: '^(true|false|\\d{1,2}|[0-9A-Fa-f.:/, ]+)$',
    description:
      'Proxies whose `X-Forwarded-For` names the client: `true` (all), `false` (none), a number of proxies, or their ' +
        'addresses or networks, separated by commas.'
  }),
  MAX_TENANTS: count(
    100,
    1,
    100_000,
    'Maximum of tenants in mode `passthrough`. Limits on requests to Kubiya apply to each tenant, limits on bytes to ' +
      'all tenants together.'
  ),
  TENANT_IDLE_MS: count(300_000, 1000, DAY_MS, 'How long an idle tenant keeps its cache and poller.'),
  RATE_LIMIT_PER_MINUTE: count(
    0,
    0,
    1_000_000_000,
    'Maximum of requests of one caller. 0: no limit. 600 is sensible when exposed.'
  ),
  RATE_LIMIT_TOTAL_PER_MINUTE: count(0, 0, 1_000_000_000, 'Maximum of requests of all callers together. 0: no limit.'),
  EVENTS_LIMIT_PER_MINUTE: count(
    0,
    0,
    1_000_000_000,
    'Maximum of events that are read from Kubiya for one caller (lists, searches, replays). 0: no limit.'
  ),
  UPSTREAM_LIMIT_PER_MINUTE: count(
    0,
    0,
    1_000_000_000,
    'Maximum of requests to Kubiya for one caller. It is the size of a token bucket and its refill per minute. 0: ' +
      'the fair share is the only limit.'
  ),
  REQUEST_TIMEOUT_MS: count(30_000, 1000, 600_000, 'Maximum time for a request to arrive.'),
  HEADERS_TIMEOUT_MS: count(10_000, 500, 600_000, 'Maximum time for the headers of a request to arrive.'),
  KEEP_ALIVE_MS: count(72_000, 1, 3_600_000, 'How long an idle connection stays open.'),
  MAX_LOOP_DELAY_MS: count(
    1000,
    0,
    60_000,
    'Mean delay of the event loop, over a second, above which requests are answered 503. 0: never.'
  )
})
export type Settings = Readonly<Static<typeof Settings>>
