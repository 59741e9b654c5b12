import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, request, type IncomingMessage } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { build } from 'esbuild'
import { CONSOLE_HEADERS } from '../../src/http/response-headers.ts'

interface Owner { teardown (action: () => unknown): void }

/** Changes one module of the console. */
export interface Replacement {
  readonly file: RegExp
  readonly change: (source: string) => string
}

export interface ProxyOptions {
  /** The path under which the service is offered, such as `/tools/audit`. The proxy strips it. */
  readonly prefix?: string
  /** What the proxy adds to each request, as one that signs people in does. */
  readonly added?: () => Readonly<Record<string, string>>
  /** Answers in place of the console's script. */
  readonly script?: string
}

const SCRIPT = /\/console\/main-\w+\.js$/

/** Builds the script of the console with one module changed. */
export async function buildVariant ({ change, file }: Replacement): Promise<string> {
  let isChanged = false
  const { outputFiles: [script] } = await build({
    entryPoints: ['src/console/main.tsx'],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    plugins: [{
      name: 'replacement',
      setup ({ onLoad }) {
        onLoad({ filter: file }, async ({ path }) => {
          const source = await readFile(path, 'utf8')
          const contents = change(source)
          isChanged = contents !== source
          return { contents, loader: path.endsWith('x') ? 'tsx' : 'ts' }
        })
      }
    }]
  })
  if (!isChanged || script === undefined) throw new Error(`nothing of ${String(file)} was changed`)
  return script.text
}

/** A proxy in front of a service, until the end of the test `t`. Returns the address of the service behind it. */
export async function startProxy (
  t: Owner,
  service: string,
  { added = () => ({}), prefix = '', script }: ProxyOptions
): Promise<string> {
  const { hostname, port } = new URL(service)
  const target = { hostname, port: Number(port) }
  const stripped = (url = '/') => url.startsWith(`${prefix}/`) ? url.slice(prefix.length) : undefined
  const server = createServer((asked, response) => {
    const path = stripped(asked.url)
    if (path === undefined) {
      response.writeHead(404).end()
      return
    }
    if (script !== undefined && SCRIPT.test(path)) {
      response.writeHead(200, { ...CONSOLE_HEADERS, 'content-type': 'text/javascript' }).end(script)
      return
    }
    const { headers, method } = asked
    const passed = request({ ...target, path, method, headers: { ...headers, ...added() } }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.pipe(response)
    })
    passed.on('error', () => response.destroy())
    asked.pipe(passed)
  })
  server.on('upgrade', (asked: IncomingMessage, socket, head: Buffer) => {
    const passed = connect({ host: hostname, port: target.port })
    passed.write(`${asked.method} ${stripped(asked.url) ?? '/'} HTTP/1.1\r\n${fieldsOf(asked, added())}\r\n`)
    passed.write(head)
    passed.pipe(socket).pipe(passed)
    for (const each of [passed, socket]) each.on('error', () => [passed, socket].forEach((end) => end.destroy()))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close().closeAllConnections() })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}${prefix}`
}

/** The header fields as they were received, and others. */
function fieldsOf ({ rawHeaders }: IncomingMessage, added: Readonly<Record<string, string>>): string {
  return [...rawHeaders, ...Object.entries(added).flat()]
    .map((text, at) => at % 2 === 0 ? `${text}: ` : `${text}\r\n`).join('')
}
