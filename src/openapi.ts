import swagger from '@fastify/swagger'
import type { FastifyPluginAsync } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import packageJson from '../package.json' with { type: 'json' }
import { EventPage, SearchPage } from './archive/answer.ts'
import { PublishedEvent } from './audit/event.ts'
import { Problem } from './problems.ts'

/** Collects the OpenAPI document from the routes that are registered after it. That is done when it is written, not when it is served. */
const collector: FastifyPluginAsync = async (app) => {
  for (const schema of [PublishedEvent, EventPage, SearchPage, Problem]) app.addSchema(schema)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'kubiya-audit-bff',
        version: packageJson.version,
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
}

export const openapiCollector = fastifyPlugin(collector, { name: 'openapi-collector' })
