import { Type, type Static } from '@sinclair/typebox'

const count = (fallback: number, minimum: number, maximum: number, description: string) =>
  Type.Integer({ default: fallback, minimum, maximum, description })
const DAY_MS = 86_400_000
const LONGEST_TIMER_MS = 2_147_483_647 // Node's timers overflow beyond.

/** The environment, as docs/settings.md lists it. Names are public. */
export const Settings = Type.Object({
  HOST: Type.String({
    default: '127.0.0.1',
    minLength: 1,
    description:
      'Address to listen on. Anything but loopback wants an `AUTH_MODE`, or `ALLOW_ANONYMOUS=true`, except on the ' +
        'sandbox.'
  }),
  PORT: count(3000, 0, 65_535, 'Port to listen on; 0 takes any free one and prints it.'),
  LOG_LEVEL: Type.Union(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map((level) => Type.Literal(level)),
    { default: 'info', description: 'Least severe level that is logged, or `silent`.' }
  ),
  METRICS_PORT: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 65_535,
      description: 'Port for `/metrics` alone, which then is not on `PORT`; 0 takes any free one and prints it.'
    })
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
    Type.String({
      pattern: '^https?://[^\\s]+$',
      description:
        'Where an OpenTelemetry collector takes spans over HTTP, such as `http://127.0.0.1:4318`. Without it ' +
          "nothing is traced. OpenTelemetry's other variables count as well."
    })
  ),
  NODE_ENV: Type.Optional(Type.String({ description: '`production` refuses to start without a key.' })),
  ALLOW_ANONYMOUS: Type.Boolean({
    default: false,
    description:
      'Allows `AUTH_MODE=none` on a `HOST` that is not loopback. Everyone who reaches the service may then read.'
  }),
  ALLOW_PLAIN_HTTP: Type.Boolean({
    default: false,
    description:
      'Permits `http` beyond loopback in `KUBIYA_BASE_URL` and `AUTH_JWKS_URL`. Anyone on the way can then read ' +
        'and change what is sent.'
  }),

  KUBIYA_API_KEY: Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7e]{1,8192}$',
      description:
        'Kubiya API key, sent as `Authorization: UserKey …` and shown nowhere. Without it the embedded sandbox is used.'
    })
  ),
  KUBIYA_API_KEY_FILE: Type.Optional(
    Type.String({ description: 'A file that holds this key, read at start, in place of `KUBIYA_API_KEY`.' })
  ),
  KUBIYA_BASE_URL: Type.String({
    default: 'https://api.kubiya.ai',
    pattern: '^https?://[^\\s]+$',
    description: "Where Kubiya is, with or without `/api/v1`; a gateway's path prefix is kept."
  }),
  KUBIYA_ORGANIZATION_ID: Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7e]{1,256}$',
      description: 'Sent as `X-Organization-ID`; a key usually implies it.'
    })
  ),
  KUBIYA_SESSION_FILTER: Type.Union([
    Type.Literal('extra.session_id'),
    Type.Literal('session_id'),
    Type.Literal('local')
  ], {
    default: 'extra.session_id',
    description:
      'The key under which Kubiya is asked for a session; where it finds nothing the other is tried. `local`: ' +
        'sessions are judged here alone.'
  }),
  KUBIYA_REQUESTS_PER_MINUTE: count(
    100,
    0,
    1_000_000,
    'Most requests to Kubiya in any minute; 0: no limit. Off on the sandbox.'
  ),
  KUBIYA_REQUESTS_PER_DAY: count(
    5000,
    0,
    100_000_000,
    'Most requests to Kubiya in any 24 hours; 0: no limit. Off on the sandbox.'
  ),
  UPSTREAM_TIMEOUT_MS: count(
    10_000,
    10,
    300_000,
    'Deadline of one call to Kubiya, from connecting to the last byte, its tries included.'
  ),
  UPSTREAM_MAX_BYTES: count(8_388_608, 1024, 1_073_741_824, 'Largest answer of Kubiya that is read, inflated.'),

  POLL_INTERVAL_MS: count(3000, 20, DAY_MS, 'Pause between two polls while events flow.'),
  POLL_MAX_INTERVAL_MS: count(
    30_000,
    20,
    DAY_MS,
    'Pause that polls stretch to while it is quiet. Without an audience it is at least 60 000.'
  ),
  POLL_PAGE_SIZE: count(1000, 1, 10_000, 'Page size that the poller asks for.'),
  LATENESS_MS: count(120_000, 0, DAY_MS, 'How late an event may become visible and still be delivered live.'),
  HISTORY_EVENTS: count(10_000, 1, 10_000_000, 'Most events kept for resuming streams.'),
  HISTORY_BYTES: count(
    67_108_864,
    65_536,
    68_719_476_736,
    'Most bytes of events, as published, kept for resuming streams.'
  ),
  SEARCH_SCAN_LIMIT: count(
    10_000,
    1,
    10_000_000,
    'Most events that one search, or describe by an upstream id, looks through.'
  ),
  REPLAY_LIMIT: count(10_000, 1, 10_000_000, 'Most events that one stream is given from the past before it goes live.'),

  CACHE_MAX_BYTES: count(67_108_864, 0, 68_719_476_736, 'Memory for prepared answers; 0 keeps none.'),
  CACHE_OPEN_TTL_MS: count(
    10_000,
    0,
    DAY_MS,
    'How long an answer about an open window is fresh. A new event that it would show ends that at once.'
  ),
  CACHE_CLOSED_TTL_MS: count(
    3_600_000,
    0,
    30 * DAY_MS,
    'How long an answer about a closed window, or a single event, is fresh.'
  ),
  CACHE_STALE_MS: count(300_000, 0, 30 * DAY_MS, 'How long after that it may be served while it is refreshed.'),
  CACHE_STALE_IF_ERROR_MS: count(3_600_000, 0, 30 * DAY_MS, 'How long after that it may be served while Kubiya fails.'),

  MAX_SUBSCRIBERS: count(20_000, 0, 1_000_000, 'Most live streams at a time.'),
  MAX_SUBSCRIBERS_PER_CLIENT: count(
    0,
    0,
    1_000_000,
    'Most live streams of one caller; 0: no limit. 100 is sensible when exposed.'
  ),
  SUBSCRIBER_BACKLOG_BYTES: count(
    65_536,
    1024,
    1_073_741_824,
    'Unsent bytes at which writing to a stream pauses until its reader has caught up.'
  ),
  HEARTBEAT_MS: count(20_000, 50, DAY_MS, 'Pause between two heartbeats of a stream.'),
  STREAM_MAX_AGE_MS: count(
    0,
    0,
    LONGEST_TIMER_MS,
    'Age at which a stream is ended with `max-age`, to come back; 0: never.'
  ),
  STREAM_COMPRESSION: Type.Boolean({
    default: true,
    description:
      'Grants `permessage-deflate` to WebSocket clients that offer it. Live events are compressed once for all of them.'
  }),
  DRAIN_MS: count(20_000, 0, 3_600_000, 'Time over which streams are ended at shutdown.'),

  AUTH_MODE: Type.Union(['none', 'token', 'jwt', 'passthrough'].map((mode) => Type.Literal(mode)), {
    default: 'none',
    description:
      'Who may call. `none`: everyone. `token`: callers with a token of `AUTH_TOKENS`. `jwt`: callers with a JSON ' +
        'Web Token. `passthrough`: callers with a credential that Kubiya accepts; Kubiya is asked with it.'
  }),
  AUTH_TOKENS: Type.Optional(
    Type.String({ description: 'Tokens of mode `token`, separated by commas, each of 16 characters at least.' })
  ),
  AUTH_TOKENS_FILE: Type.Optional(
    Type.String({
      description:
        'A file of such tokens, one a line, `#` for comments. It is read anew every `AUTH_RECHECK_MS`; streams of ' +
          'a token that is gone end.'
    })
  ),
  AUTH_JWKS_URL: Type.Optional(Type.String({ description: 'Where the keys of mode `jwt` are (a JWK Set).' })),
  AUTH_ISSUER: Type.Optional(Type.String({ description: 'The `iss` that tokens must have.' })),
  AUTH_AUDIENCE: Type.Optional(Type.String({ description: 'The `aud` that tokens must have.' })),
  AUTH_CLOCK_TOLERANCE_MS: count(
    5000,
    0,
    300_000,
    "How far the issuer's clock may differ: tokens are good for so much longer."
  ),
  AUTH_RECHECK_MS: count(60_000, 100, DAY_MS, 'How long it is taken for granted that a credential is still good.'),
  ALLOWED_ORIGINS: Type.Optional(
    Type.String({
      description:
        'Origins, such as `https://app.example.com`, separated by commas, whose pages may stream and read answers. ' +
          "Without it only pages of the service's own address may."
    })
  ),
  ALLOWED_HOSTS: Type.Optional(Type.String({
    description:
      'Host names by which the service may be reached, such as `audit.example.com`, separated by commas; `*`: any. ' +
        'With `AUTH_MODE=none` another name is refused, unless it is an address, `localhost`, a host of ' +
        '`ALLOWED_ORIGINS`, or a private name where `HOST` is not loopback. Pages served under a name that is listed ' +
        'may stream.'
  })),
  BASE_PATH: Type.Optional(
    Type.String({
      pattern: '^(/[A-Za-z0-9._~-]+)+$',
      description:
        'Path under which a proxy offers the service, such as `/audit`. It goes in front of `next`; the proxy ' +
          'strips it. Without it, `X-Forwarded-Prefix` of a proxy that `TRUST_PROXY` names counts.'
    })
  ),
  TRUST_PROXY: Type.String({
    default: 'false',
    pattern: '^(true|false|\\d{1,2}|[0-9A-Fa-f.:/, ]+)$',
    description:
      'Whether `X-Forwarded-For` tells where a request comes from: `true`, a number of proxies, or their addresses ' +
        'or networks separated by commas.'
  }),
  MAX_TENANTS: count(
    100,
    1,
    100_000,
    'Most tenants at a time in mode `passthrough`. The bounds on requests to Kubiya hold for each, those on bytes ' +
      'for all together.'
  ),
  TENANT_IDLE_MS: count(300_000, 1000, DAY_MS, 'How long an idle tenant keeps its cache and poller.'),
  RATE_LIMIT_PER_MINUTE: count(
    0,
    0,
    1_000_000_000,
    'Most requests of one caller; 0: no limit. 600 is sensible when exposed.'
  ),
  RATE_LIMIT_TOTAL_PER_MINUTE: count(0, 0, 1_000_000_000, 'Most requests of all callers; 0: no limit.'),
  EVENTS_LIMIT_PER_MINUTE: count(
    0,
    0,
    1_000_000_000,
    'Most events that Kubiya is asked for on behalf of one caller (lists, searches, replays); 0: no limit.'
  ),
  UPSTREAM_LIMIT_PER_MINUTE: count(
    0,
    0,
    1_000_000_000,
    'Token bucket of requests to Kubiya for one caller: its size, and its refill a minute. 0: the fair share alone ' +
      'limits the caller.'
  ),
  REQUEST_TIMEOUT_MS: count(30_000, 1000, 600_000, 'Time that a request may take to arrive.'),
  HEADERS_TIMEOUT_MS: count(10_000, 500, 600_000, 'Time that its head may take.'),
  KEEP_ALIVE_MS: count(72_000, 1, 3_600_000, 'How long a connection is kept open for a further request.'),
  MAX_LOOP_DELAY_MS: count(
    1000,
    0,
    60_000,
    'Mean delay of the event loop, over a second, from which on requests are turned away with 503; 0: never.'
  )
})
export type Settings = Readonly<Static<typeof Settings>>
