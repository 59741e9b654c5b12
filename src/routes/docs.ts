import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyPluginAsync } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { EventPage, SearchPage } from '../archive/answer.ts'
import { PublishedEvent } from '../audit/event.ts'
import { Problem } from '../problems.ts'

export interface DocsOptions {
  readonly version: string
}

/** Collects the OpenAPI document from the routes that are registered after it; serves it, and a page to read and try it. */
const docs: FastifyPluginAsync<DocsOptions> = async (app, { version }) => {
  for (const schema of [PublishedEvent, EventPage, SearchPage, Problem]) app.addSchema(schema)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'kubiya-audit-bff',
        version,
        description: 'Kubiya audit events for front ends: typed, cached list, search and describe, and live streams over one shared poller.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' }
      },
      servers: [{ url: '/', description: 'This service.' }],
      security: [],
      tags: [
        { name: 'events', description: 'Audit events: the past and the present.' },
        { name: 'operations', description: 'For those who run the service.' }
      ]
    },
    refResolver: { buildLocalReference: (schema, _baseUri, _fragment, index) => typeof schema.$id === 'string' ? schema.$id : `schema-${index}` }
  })
  await app.register(swaggerUi, { routePrefix: '/docs', uiConfig: { docExpansion: 'list', deepLinking: true }, logLevel: 'warn' })
  app.get('/openapi.json', { schema: { hide: true }, logLevel: 'warn' }, async () => app.swagger())
}

export const docsRoutes = fastifyPlugin(docs, { name: 'docs' })
