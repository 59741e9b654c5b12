import { readFile } from 'node:fs/promises'
import t from 'tap'
import { version } from '../src/app.ts'
import { asyncapi as describeStream } from '../tools/asyncapi.ts'
import { FRAME_EXAMPLES } from '../tools/frame-examples.ts'
import {
  ABNORMAL_CLOSURE,
  CLIENT_MESSAGE,
  CLOSE,
  CLOSE_CODES,
  FLOODED,
  MESSAGE_TOO_BIG,
  NO_STATUS,
  TOO_MANY_FRAGMENTS
} from '../src/live/transport/close-codes.ts'
import {
  Frame,
  GapFrame,
  eventFrame,
  gapFrame,
  heartbeatFrame,
  helloFrame,
  statusFrame,
  type PreparedFrame
} from '../src/live/transport/frames.ts'
import { MAX_CLIENT_FRAGMENTS, MAX_CLIENT_MESSAGE_BYTES, SUBPROTOCOL } from '../src/live/transport/websocket.ts'
import { StreamQuery } from '../src/http/stream-parameters.ts'
import { Settings } from '../src/settings.ts'
import { asyncapi, checkFrame, faultOf } from './support/frame-check.ts'

type Item = Record<string, any>

// ws closes with these codes by itself where a client's message is over a limit that websocket-upgrade.ts sets.
const OF_LIMITS = { [TOO_MANY_FRAGMENTS]: MAX_CLIENT_FRAGMENTS, [MESSAGE_TOO_BIG]: MAX_CLIENT_MESSAGE_BYTES }
// A client's fault ends a stream without an `end` frame.
const OF_FAULTS = [CLIENT_MESSAGE.closeCode, FLOODED.closeCode, TOO_MANY_FRAGMENTS, MESSAGE_TOO_BIG]

const schemas = Frame.anyOf as Item[]
const types: Array<Frame['type']> = Frame.anyOf.map(({ properties }) => properties.type.const)
const protocol = await readFile('PROTOCOL.md', 'utf8')

/** The content under each heading of one level, in order. */
function sections (text: string, level: number): Array<[heading: string, content: string]> {
  const mark = `\n${'#'.repeat(level)} `
  return `\n${text}`.split(mark).slice(1).map((part) => {
    const [heading = '', ...lines] = part.split('\n')
    return [heading, lines.join('\n').split(/\n#{1,2} /)[0] ?? '']
  })
}

function section (heading: string): string {
  return sections(protocol, 2).find(([each]) => each === heading)?.[1] ?? ''
}

/** The names in the first column of each table, by the head of that column. */
function tables (text: string): Map<string, string[]> {
  const rows = text.split('\n').map((line) => /^\| (.*?) \|/.exec(line)?.[1])
  const found = new Map<string, string[]>()
  rows.forEach((cell, index) => {
    if (cell === undefined || rows[index - 1] !== undefined) return
    const end = rows.indexOf(undefined, index)
    found.set(
      cell,
      rows.slice(index + 2, end === -1 ? undefined : end).flatMap((each) =>
        [...(each ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)
      )
    )
  })
  return found
}

function literals (schema: Item): string[] {
  return schema.anyOf.map((each: Item) => each.const)
}

t.test('asyncapi.json', async (t) => {
  t.test('is generated from the schemas', async (t) => {
    t.same(asyncapi, JSON.parse(describeStream(version)), 'run `npm run documents`')
    t.equal(describeStream(version), describeStream(version))
    t.equal(asyncapi.asyncapi, '3.0.0')
  })

  t.test('lists exactly the frames as messages of its channel', async (t) => {
    const [channel] = Object.values<Item>(asyncapi.channels)
    t.equal(channel?.address, '/api/v1/audit/stream')
    t.same(Object.keys(channel?.messages), types)
    t.same(asyncapi.operations.streamEvents.messages.map(({ $ref }: Item) => $ref.split('/').at(-1)), types)
    t.same(Object.values<Item>(asyncapi.components.messages).map(({ name }) => name), types)
    t.same(Object.keys(channel?.bindings.ws.query.properties), Object.keys(StreamQuery.properties))
  })

  t.test('has no dangling reference', async (t) => {
    const text = JSON.stringify(asyncapi)
    const references = [...text.matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference = '']) => reference)
    t.ok(references.length > 10)
    const target = (reference: string) =>
      reference.replace(/^#\//, '').split('/').reduce<any>((place, name) => place?.[name], asyncapi)
    t.same(references.filter((reference) => target(reference) === undefined), [])
    t.notMatch(text, '"$id"')
  })

  t.test('accepts every frame of the encoders', async (t) => {
    const shown = Object.values<Item>(asyncapi.components.messages).map(({ examples }): unknown[] =>
      examples.map(({ payload }: Item) => payload)
    )
    t.ok(shown.every(({ length }) => length > 0), 'each has an example')
    const made = frames().map(({ payload }): unknown => JSON.parse(String(payload)))
    t.same([...shown.flat(), ...made].flatMap((frame) => faultOf(frame) ?? []), [])
  })

  t.test('rejects a frame with a missing, an additional or a wrong field', async (t) => {
    const met = new Set<string>()
    const surprises: string[] = []
    const look = (what: string, frame: Item, isWrong = true) => {
      if ((faultOf(frame) !== undefined) !== isWrong) surprises.push(what)
    }
    for (const { payload } of frames()) {
      const frame = JSON.parse(String(payload)) as Item
      const schema = schemas.find(({ properties }) => properties.type.const === frame.type) ?? {}
      const isRequired = (name: string) => schema.required.includes(name)
      look(`${frame.type} with one more`, { ...frame, more: 1 })
      for (const name of Object.keys(frame)) {
        met.add(`${frame.type}.${name}`)
        const { [name]: left, ...rest } = frame
        look(`${frame.type} without ${name}`, rest, isRequired(name))
        for (const wrong of [null, {}, [left]]) {
          look(`${frame.type} with ${name} ${JSON.stringify(wrong)}`, { ...frame, [name]: wrong })
        }
      }
    }
    t.same(surprises, [])
    t.same(
      [...met].sort(),
      schemas.flatMap(({ properties }) => Object.keys(properties).map((name) => `${properties.type.const}.${name}`))
        .sort(),
      'all fields were tried'
    )
  })

  t.test('rejects values outside the protocol', async (t) => {
    const [hello, event, gap, status, end] = (['hello', 'event', 'gap', 'status', 'end'] as const).map((type): Item =>
      JSON.parse(String(Object.values(FRAME_EXAMPLES[type])[0]?.payload ?? ''))
    )
    const wrong = [
      { ...hello, type: 'welcome' },
      { ...hello, type: 'heartbeat' },
      { ...hello, resumed: 'true' },
      { ...event, late: false },
      { ...event, event: { timestamp: 1 } },
      { ...event, event: { id: '' } },
      { ...gap, reason: 'history' },
      { ...gap, from: 1 },
      { ...status, upstream: 'down' },
      { ...status, lag_ms: -1 },
      { ...status, lag_ms: 0.5 },
      { ...status, cursor: 'a' },
      { ...end, reason: 'bored' },
      { ...end, reconnect: 1 }
    ]
    t.same(wrong.filter((frame) => faultOf(frame) === undefined), [])
    t.throws(() => checkFrame({ ...gap, reason: 'history' } as unknown as Frame), /asyncapi\.json.*reason/)
  })
})

t.test('PROTOCOL.md', async (t) => {
  const ofFrames = sections(section('Frames'), 3)
  const ofCodes = sections(section('Close codes'), 3)

  t.test('has one heading for each frame', async (t) => {
    t.same(ofFrames.map(([heading]) => heading).sort(), types.map((type) => `\`${type}\``).sort())
  })

  t.test('lists exactly the fields of each frame, and the values of each enumeration', async (t) => {
    for (const { properties: { type, ...fields } } of schemas) {
      const [, content = ''] = ofFrames.find(([heading]) => heading === `\`${type.const}\``) ?? []
      t.same(tables(content).get('field'), Object.keys(fields), type.const)
      for (const [name, schema] of Object.entries<Item>(fields)) {
        if (schema.anyOf === undefined || (type.const === 'heartbeat' && name === 'upstream')) continue // As in `status`.
        t.same(
          tables(content).get(`\`${name}\``) ?? literals(schema).filter((word) => content.includes(`\`${word}\``)),
          literals(schema),
          `${type.const}.${name}`
        )
      }
      t.match(content, /^\n?Service → client\./, `${type.const}: its direction`)
    }
  })

  t.test('shows valid frames', async (t) => {
    const shown = ofFrames.map(([, content]) =>
      [...content.matchAll(/```json\n(.*)\n```/g)].map(([, json = '']) => JSON.parse(json))
    )
    t.same(shown.flat().map(({ type }) => `\`${type}\``), ofFrames.map(([heading]) => heading))
    const ofEvents = [...protocol.matchAll(/^data: (.*)$/gm)].map(([, json = '']) => JSON.parse(json))
    t.ok(ofEvents.length > 0)
    for (const frame of [...shown.flat(), ...ofEvents]) t.equal(faultOf(frame), undefined)
  })

  t.test('has exactly one heading for each close code', async (t) => {
    const sent = CLOSE_CODES.filter((code) => code !== NO_STATUS && code !== ABNORMAL_CLOSURE)
    t.same(ofCodes.map(([heading]) => Number(/^(\d{4}) \S/.exec(heading)?.[1])), sent)
    for (const [heading, content] of ofCodes) t.match(content, /^\n?Service → client\./, `${heading}: its direction`)
  })

  t.test('says of each close code which word came before it, and whether coming back makes sense', async (t) => {
    const under = (code: number) => ofCodes.find(([heading]) => heading.startsWith(`${code} `))?.[1] ?? ''
    for (const { closeCode, reconnect, reason } of Object.values(CLOSE)) {
      t.match(under(closeCode), `\`${reason}\``)
      t.match(under(closeCode), `\`reconnect: ${reconnect}\``)
    }
    for (const [code, most] of Object.entries(OF_LIMITS)) t.match(under(Number(code)), ` ${most} `)
    for (const code of OF_FAULTS) t.match(under(code), 'No `end`')
  })

  t.test('names every parameter, the subprotocol, and settings with their defaults', async (t) => {
    t.same(tables(section('Starting a stream')).get('parameter')?.sort(), Object.keys(StreamQuery.properties).sort())
    t.match(protocol, `\`${SUBPROTOCOL}\``)
    t.match(protocol, `at most ${String(StreamQuery.properties.timeout_minutes.maximum)}`)
    const settings = new Map(Object.entries<Item>(Settings.properties))
    const named = [...protocol.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map(([, name = '']) => name).filter((name) =>
      name !== 'LIKE_THIS'
    )
    t.same(named.filter((name) => !settings.has(name)), [])
    const defaults = [...protocol.matchAll(/`([A-Z_]+)` \((\d+) unless set\)/g)]
    t.ok(defaults.length >= 3)
    for (const [, name = '', value] of defaults) t.equal(value, String(settings.get(name)?.default), name)
  })

  t.test('has no link to a missing heading', async (t) => {
    const anchors = [...protocol.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-')
    )
    for (const [, anchor = ''] of protocol.matchAll(/\]\(#([^)]+)\)/g)) t.ok(anchors.includes(anchor), anchor)
  })
})

/** Frames of every type and variant, made by their encoders. */
function frames (): PreparedFrame[] {
  const cursor = {
    kind: 'replay',
    log: { kind: 'log', epoch: 'abcd', offset: 0, instant: -1n },
    after: { instant: 0n, id: 'é' }
  } as const
  const health = {
    upstream: 'ok',
    sinceMs: 0,
    lastGoodMs: undefined,
    lagMs: 0.4,
    attempted: false,
    latenessMs: undefined,
    fullReads: 0,
    isPolling: true
  } as const
  const events: Item[] = [{ id: 'a' }, {
    id: 'b',
    timestamp: null,
    cursor: 1,
    type: 'hello',
    extra: { deep: [1, { more: '✅' }] }
  }]
  return [
    ...Object.values(FRAME_EXAMPLES).flatMap((examples) => Object.values(examples)),
    helloFrame(cursor, true, 50),
    ...events.map((item, index) =>
      eventFrame({
        event: { id: String(item.id), instant: undefined, item, json: JSON.stringify(item) },
        late: index > 0
      }, cursor)
    ),
    ...literals(GapFrame.properties.reason).map((reason) =>
      gapFrame({ from: 0n, to: 1n, reason: reason as 'too-large' }, cursor)
    ),
    ...(['ok', 'degraded', 'throttled', 'unauthorized'] as const).flatMap((
      upstream
    ) => [statusFrame({ ...health, upstream }), heartbeatFrame(cursor, { ...health, upstream, latenessMs: 0 })]),
    statusFrame({ ...health, latenessMs: 0.6 })
  ]
}
