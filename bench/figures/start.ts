import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort, startChild, startProgram } from '../child.ts'
import { readSteal, stealSince } from '../machine.ts'
import { ratioRow, type Row } from '../row.ts'
import { productionAt } from '../service.ts'
import { median, undisturbed, type Slice } from '../slices.ts'
import { TARGETS } from '../targets.ts'

const GIVE_UP_MS = 20_000

/** From exec to the first answer. */
export async function start (isQuick: boolean): Promise<Row[]> {
  const upstreamPort = await freePort()
  const upstream = startProgram('measuring', 'upstream')
  await upstream.ask({ listen: upstreamPort })
  const production = productionAt(upstreamPort)
  const kinds = [
    { name: 'empty', command: ['dist/bench/peers/empty.js'], environment: {} },
    { name: 'npm start', command: commandOfNpmStart(), environment: production },
    { name: 'image', command: commandOfImage(), environment: production }
  ]
  const slices = new Map<string, Slice[]>(kinds.map(({ name }) => [name, []]))
  for (let round = 0; round < (isQuick ? 5 : 9); round++) {
    for (const { command, environment, name } of kinds) {
      const before = readSteal()
      const ms = await firstAnswerMs(command, environment)
      slices.get(name)?.push({ cost: ms, steal: stealSince(before) })
    }
  }
  await upstream.stop()
  const kept = (name: string) => undisturbed(slices.get(name) ?? [])
  const typical = (name: string) => median(kept(name).map(({ cost }) => cost))
  const steal = Math.max(...kinds.flatMap(({ name }) => kept(name).map((slice) => slice.steal)))
  return ['npm start', 'image'].map((name) =>
    ratioRow(
      `Exec → first answer, as ${name} runs it, of an empty node:http`,
      [name, typical(name)],
      ['empty', typical('empty')],
      'ms',
      TARGETS.start.empty,
      steal
    )
  )
}

async function firstAnswerMs (command: readonly string[], environment: Record<string, string>): Promise<number> {
  const port = await freePort()
  const startedMs = performance.now()
  const child = startChild('measured', [process.execPath, ...command], { ...environment, PORT: String(port) })
  while (!await answers(port)) {
    if (performance.now() - startedMs > GIVE_UP_MS) throw new Error(`${command.join(' ')} does not answer`)
    await sleep(1)
  }
  const ms = performance.now() - startedMs
  await child.stop()
  return ms
}

function answers (port: number): Promise<boolean> {
  return new Promise((resolve) => {
    request({ port, host: '127.0.0.1', path: '/livez', agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    }).on('error', () => resolve(false)).end()
  })
}

/** Without `node` itself, so that it runs on this one. */
function commandOfNpmStart (): string[] {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: { start: string } }
  return scripts.start.split(' ').slice(1)
}

function commandOfImage (): string[] {
  const command = /^CMD (\[.*\])$/m.exec(readFileSync('Dockerfile', 'utf8'))?.[1] ?? '[]'
  return (JSON.parse(command) as string[]).slice(1)
}
