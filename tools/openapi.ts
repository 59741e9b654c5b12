import swagger from '@fastify/swagger'
import type { FastifyPluginAsync } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { pino } from 'pino'
import { buildApp, version } from '../src/app.ts'
import { ConversationPage } from '../src/archive/conversation-body.ts'
import { Facets, SessionPage, Summary, Timeline } from '../src/archive/count-body.ts'
import { EventPage, SearchPage } from '../src/archive/page-body.ts'
import { Coverage, PublishedSession } from '../src/audit/session.ts'
import { PublishedEvent } from '../src/audit/event.ts'
import { KubiyaError } from '../src/http/kubiya-error.ts'
import { KubiyaItems } from '../src/http/kubiya-schemas.ts'
import { Problem } from '../src/problems.ts'
import { readSettings } from '../src/settings/read-settings.ts'

const SERVERS = [{ url: '/', description: 'This service.' }]
// Relative to the document, so that it is right behind a proxy that offers the service under a path.
const RELATIVE_SERVERS = SERVERS.map((each) => ({ ...each, url: '.' }))

/**
 * The OpenAPI document of all routes, as it is served. It is written beforehand: no start of the service should wait
 * for it.
 */
export async function writeOpenapi (): Promise<string> {
  const outcome = readSettings({
    KUBIYA_API_KEY: 'none',
    KUBIYA_BASE_URL: 'http://127.0.0.1:9',
    CONSOLE: 'false' // Its files may not be built yet.
  })
  if (!outcome.ok) throw new Error(outcome.faults.join('\n'))
  const { server } = await buildApp(outcome.settings, pino({ level: 'silent' }), {
    docs: fastifyPlugin(collector, { name: 'openapi' })
  })
  await server.ready()
  const document = server.swagger()
  await server.close()
  // The collector takes whole URLs only.
  return `${JSON.stringify({ ...document, servers: RELATIVE_SERVERS }, null, 2)}\n`
}

const SCHEMAS = [
  PublishedEvent,
  EventPage,
  SearchPage,
  Summary,
  Timeline,
  Facets,
  PublishedSession,
  SessionPage,
  Coverage,
  ConversationPage,
  KubiyaItems,
  Problem,
  KubiyaError
]

/** Collects the document from the routes that are registered after it. */
const collector: FastifyPluginAsync = async (app) => {
  for (const schema of SCHEMAS) app.addSchema(schema)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'kubiya-audit-bff',
        version,
        description:
          'Kubiya audit events for front ends: typed, cached list, search and describe, and live streams over one ' +
            'shared poller.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' }
      },
      servers: SERVERS,
      security: [],
      tags: [
        { name: 'events', description: 'Audit events: the past and the present.' },
        { name: 'counts', description: 'Counts of audit events, and sessions.' },
        { name: 'compatible', description: "For programs that speak Kubiya's own API." },
        { name: 'operations', description: 'For those who run the service.' }
      ]
    },
    refResolver: {
      buildLocalReference: (schema, _baseUri, _fragment, index) =>
        typeof schema.$id === 'string' ? schema.$id : `schema-${index}`
    }
  })
}
