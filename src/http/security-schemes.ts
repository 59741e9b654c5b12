interface Document {
  readonly paths: Readonly<Record<string, object>>
  readonly components: object
}

const API = '/api/'
const BEARER = { type: 'http', scheme: 'bearer' }
const SCHEMES: ReadonlyMap<string, Readonly<Record<string, object>>> = new Map([
  ['token', { bearer: { ...BEARER, description: 'A token of `AUTH_TOKENS`.' } }],
  ['jwt', {
    bearer: { ...BEARER, bearerFormat: 'JWT', description: 'A JSON Web Token of the trusted issuer.' }
  }],
  ['passthrough', {
    bearer: { ...BEARER, description: 'A bearer token that Kubiya accepts.' },
    UserKey: {
      type: 'apiKey',
      in: 'header',
      name: 'Authorization',
      description: 'A Kubiya API key: `UserKey`, a space, and the key.'
    }
  }]
])

/** Adds the security schemes of an `AUTH_MODE` to the OpenAPI document, on every route that needs a caller. */
export function secured<Written extends Document> (document: Written, mode: string): Document {
  const schemes = SCHEMES.get(mode)
  if (schemes === undefined) return document
  const security = Object.keys(schemes).map((name) => ({ [name]: [] }))
  const paths = Object.entries(document.paths).map((
    [path, operations]
  ) => [path, path.startsWith(API) ? securedPath(operations, security) : operations])
  return {
    ...document,
    components: { ...document.components, securitySchemes: schemes },
    paths: Object.fromEntries(paths)
  }
}

function securedPath (operations: object, security: object[]): object {
  return Object.fromEntries(
    Object.entries(operations).map(([method, operation]) => [method, { ...operation, security }])
  )
}
