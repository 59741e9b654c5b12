import type { TSchema } from '@sinclair/typebox'
import { PublishedEvent } from '../src/audit/event.ts'
import { FRAME_EXAMPLES } from './frame-examples.ts'
import { Frame } from '../src/live/transport/frames.ts'
import { SUBPROTOCOL } from '../src/live/transport/websocket.ts'
import { StreamQuery } from '../src/http/stream-parameters.ts'
import { Settings } from '../src/settings.ts'

const STREAM_PATH = '/api/v1/audit/stream'
const CHANNEL = 'auditStream'

/**
 * Describes the stream to tools: AsyncAPI 3.0, from the schemas that the frames are made with. The same text each time.
 */
export function asyncapi (version: string): string {
  const types = Frame.anyOf.map(({ properties }) => properties.type.const)
  const document = {
    asyncapi: '3.0.0',
    info: {
      title: 'kubiya-audit-bff',
      version,
      description:
        'Live Kubiya audit events for front ends: one shared poller, any number of filtered streams that resume ' +
          'where they stopped. PROTOCOL.md says what the frames mean, when they come and what is promised.',
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' }
    },
    defaultContentType: 'application/json',
    servers: {
      websocket: server('ws', 'WebSocket', 'A frame is one text message; `wss` behind something that speaks TLS.'),
      sse: server(
        'http',
        'Server-Sent Events',
        'A frame is one event: `event` its type, `id` its cursor, `data` its JSON; `https` behind something that ' +
          'speaks TLS.'
      )
    },
    channels: {
      [CHANNEL]: {
        address: STREAM_PATH,
        title: 'Audit events as they come',
        description: 'From the service to the client only: a client sends control frames, and no message.',
        messages: byName(types, reference('messages')),
        bindings: {
          ws: { method: 'GET', query: plain(StreamQuery), headers: upgradeHeaders(), bindingVersion: '0.1.0' }
        }
      }
    },
    operations: {
      streamEvents: {
        action: 'send',
        channel: { $ref: `#/channels/${CHANNEL}` },
        title: 'Stream audit events',
        summary: 'The service sends, the client receives.',
        description:
          '`hello` first, `end` last where there is time for it. Types and fields that a client does not know are ' +
            'for it to ignore.',
        messages: types.map((type) => ({ $ref: `#/channels/${CHANNEL}/messages/${type}` })),
        bindings: {
          http: { method: 'GET', query: { $ref: `#/channels/${CHANNEL}/bindings/ws/query` }, bindingVersion: '0.3.0' }
        }
      }
    },
    components: {
      messages: byName(types, message),
      schemas: {
        ...Object.fromEntries(Frame.anyOf.map((schema) => [schemaName(schema.properties.type.const), plain(schema)])),
        AuditEvent: plain(PublishedEvent)
      }
    }
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

function server (protocol: string, title: string, description: string) {
  const { HOST, PORT } = Settings.properties
  const variables = {
    host: { default: String(HOST.default), description: 'Where the service listens, or what is in front of it.' },
    port: { default: String(PORT.default), description: 'Its port.' }
  }
  return { host: '{host}:{port}', protocol, title, description, variables }
}

function upgradeHeaders () {
  return {
    type: 'object',
    properties: {
      'Sec-WebSocket-Protocol': {
        type: 'string',
        const: SUBPROTOCOL,
        description: 'The subprotocol; none is fine too.'
      }
    }
  }
}

function message (type: Frame['type']) {
  const schema = Frame.anyOf.find(({ properties }) => properties.type.const === type)
  return {
    name: type,
    title: schemaName(type),
    summary: schema?.description,
    contentType: 'application/json',
    payload: reference('schemas')(schemaName(type)),
    examples: Object.entries(FRAME_EXAMPLES[type]).map(([name, frame]) => ({
      name,
      payload: JSON.parse(frame.payload.toString()) as unknown
    }))
  }
}

function schemaName (type: Frame['type']): string {
  return `${type.charAt(0).toUpperCase()}${type.slice(1)}Frame`
}

function byName<Name extends string, Thing> (
  names: readonly Name[],
  make: (name: Name) => Thing
): Record<string, Thing> {
  return Object.fromEntries(names.map((name) => [name, make(name)]))
}

function reference (kind: string): (name: string) => { $ref: string } {
  return (name) => ({ $ref: `#/components/${kind}/${name}` })
}

/**
 * The schema as plain JSON. In a document its place is its name: an `$id` would be another base for the references in
 * it.
 */
function plain (schema: TSchema): unknown {
  return JSON.parse(JSON.stringify(schema), (key, value) => {
    if (key === '$id') return undefined
    return key === '$ref' ? reference('schemas')(String(value).replace(/#$/, '')).$ref : value
  })
}
