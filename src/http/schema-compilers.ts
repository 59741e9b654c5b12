/**
 * Fastify's compilers of route schemas. Requests are validated as Fastify does it. Answers are sent as they are: their
 * schemas serve the documents only, so nothing is compiled from them.
 */
export const schemaCompilers = { buildSerializer: () => () => JSON.stringify }
