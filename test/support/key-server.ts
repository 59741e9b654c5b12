import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SignJWT, exportJWK, generateKeyPair } from 'jose'

const ISSUER = 'https://id.test'
const AUDIENCE = 'audit'

/** An issuer of JSON Web Tokens: the settings that trust it, and tokens of it. */
export async function startKeyServer (
  t: { teardown (action: () => unknown): void }
): Promise<{
  readonly settings: Record<string, string>
  readonly token: string
  readonly tokenFor: (seconds: number) => Promise<string>
}> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const keys = [{ kid: 'one', alg: 'ES256', ...await exportJWK(publicKey) }]
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const settings = {
    AUTH_MODE: 'jwt',
    AUTH_JWKS_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
    AUTH_ISSUER: ISSUER,
    AUTH_AUDIENCE: AUDIENCE
  }
  const tokenFor = (seconds: number) => new SignJWT({ sub: 'me' }).setProtectedHeader({ alg: 'ES256', kid: 'one' })
    .setIssuer(ISSUER).setAudience(AUDIENCE).setExpirationTime(`${seconds}s`).sign(privateKey)
  return { settings, token: await tokenFor(600), tokenFor }
}
