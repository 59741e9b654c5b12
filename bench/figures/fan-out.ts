import { alternate } from '../slices.ts'
import { ratioRow, type Row } from '../row.ts'
import { TARGETS } from '../targets.ts'
import { nchanSender, peerSender, serviceSender, type Pace, type Sender } from './streaming.ts'

const SUBSCRIBERS = 2000
const WARM_UP = 3 // Code that runs a few times a second takes a while to be compiled well.
const PACES: Array<{ readonly name: 'fanOutTen' | 'fanOutOne', readonly title: string, readonly pace: Pace }> = [
  { name: 'fanOutTen', title: '10 events a poll', pace: { events: 10, everyMs: 250 } },
  { name: 'fanOutOne', title: '1 event a poll', pace: { events: 1, everyMs: 50 } }
]

/** CPU per delivered event, through the whole service: poll, decode, identity, log, hub, write. */
export async function fanOut (isQuick: boolean): Promise<Row[]> {
  const rows: Row[] = []
  for (const { name, pace, title } of PACES) {
    const senders = await Promise.all([
      serviceSender({ subscribers: SUBSCRIBERS }, pace.everyMs),
      peerSender('peers/readme-loop', { subscribers: SUBSCRIBERS }),
      peerSender('peers/net-loop', { subscribers: SUBSCRIBERS }),
      name === 'fanOutTen' ? nchanSender({ subscribers: SUBSCRIBERS }) : undefined
    ])
    const [service, loop, net, nchan] = senders
    const contenders = (sliceMs: number) => [
      service.contender('service', pace, sliceMs),
      loop.contender('README loop', pace, sliceMs),
      net.contender('net', pace, sliceMs),
      ...nchan === undefined ? [] : [nchan.contender('nchan', pace, sliceMs)]
    ]
    await alternate(contenders(2000), isQuick ? 1 : WARM_UP)
    const { costs, steal } = await alternate(contenders(isQuick ? 1500 : 2500), isQuick ? 2 : 7)
    await stopAll(senders)
    const ours: [string, number] = ['service', costs.get('service') ?? NaN]
    const figure = (peer: string) => `CPU per delivered event, ${title}, of ${peer}`
    const unit = 'µs'
    rows.push(
      ratioRow(
        figure('the README loop'),
        ours,
        ['README loop', costs.get('README loop')],
        unit,
        TARGETS[name].readmeLoop,
        steal
      )
    )
    if (name === 'fanOutTen') {
      rows.push(ratioRow(figure('nchan'), ours, ['nchan', costs.get('nchan')], unit, TARGETS.fanOutTen.nchan, steal))
    }
    rows.push(ratioRow(figure('a plain net loop'), ours, ['net', costs.get('net')], unit, TARGETS[name].net, steal))
  }
  return rows
}

// What every event holds, to make filters that differ and match the same.
const EVERYWHERE = 'registry.acme.test/app:'
const VARIANTS = 20

/** Many filters against one, at the same number of events for each subscriber and poll. */
export async function filters (isQuick: boolean): Promise<Row[]> {
  const names = [
    'deploy-helper-0',
    'incident-desk-1',
    'cost-watch-2',
    'access-review-3',
    'db-caretaker-4',
    'deploy-helper-5',
    'incident-desk-6',
    'cost-watch-7',
    'access-review-8',
    'db-caretaker-9'
  ]
  const paths = names.flatMap((name) =>
    Array.from(
      { length: VARIANTS },
      (_, cut) =>
        `/api/v1/audit/stream?start_time=now&category_name=${name}&text=${encodeURIComponent(EVERYWHERE.slice(cut))}`
    )
  )
  const one = await serviceSender({ subscribers: SUBSCRIBERS }, 250)
  const many = await serviceSender({ subscribers: SUBSCRIBERS, paths }, 250)
  const contenders = (
    sliceMs: number
  ) => [
    one.contender('one filter', { events: 10, everyMs: 250 }, sliceMs),
    many.contender('many filters', { events: 100, everyMs: 250 }, sliceMs)
  ]
  await alternate(contenders(2000), isQuick ? 1 : WARM_UP)
  const { costs, steal } = await alternate(contenders(isQuick ? 1500 : 2500), isQuick ? 2 : 7)
  await stopAll([one, many])
  return [
    ratioRow(
      `CPU per delivered event, ${SUBSCRIBERS} subscribers over ${paths.length} filters, of one filter`,
      ['many', costs.get('many filters') ?? NaN],
      ['one', costs.get('one filter')],
      'µs',
      TARGETS.filters.oneFilter,
      steal
    )
  ]
}

/** Compressed for those who offer it, against plain: CPU and bytes. */
export async function compressed (isQuick: boolean): Promise<Row[]> {
  const pace = { events: 10, everyMs: 250 }
  const plain = await serviceSender({ subscribers: SUBSCRIBERS }, 250)
  const together = await compressingSender('permessage-deflate; client_max_window_bits')
  const alone = await compressingSender('permessage-deflate; server_no_context_takeover')
  const contenders = (sliceMs: number) => [
    plain.contender('plain', pace, sliceMs),
    together.contender('together', pace, sliceMs),
    alone.contender('alone', pace, sliceMs)
  ]
  await alternate(contenders(2000), isQuick ? 1 : WARM_UP)
  for (const sender of [plain, together, alone]) await sender.bytesPerMessage()
  const { costs, steal } = await alternate(contenders(isQuick ? 1500 : 2500), isQuick ? 2 : 7)
  const [plainBytes = NaN, togetherBytes = NaN, aloneBytes = NaN] = await Promise.all(
    [plain, together, alone].map((sender) => sender.bytesPerMessage())
  )
  await stopAll([plain, together, alone])
  const cost = (name: string) => costs.get(name) ?? NaN
  return [
    ratioRow(
      "CPU per delivered event, compressed in the batch's context, of plain",
      ['compressed', cost('together')],
      ['plain', cost('plain')],
      'µs',
      TARGETS.compressed.cpu,
      steal
    ),
    ratioRow(
      'CPU per delivered event, compressed without context, of plain',
      ['compressed', cost('alone')],
      ['plain', cost('plain')],
      'µs',
      TARGETS.compressed.cpu,
      steal
    ),
    ratioRow(
      "Bytes per delivered event, in the batch's context, of plain",
      ['compressed', togetherBytes],
      ['plain', plainBytes],
      'bytes',
      TARGETS.compressed.bytesTogether
    ),
    ratioRow(
      'Bytes per delivered event, without context, of plain',
      ['compressed', aloneBytes],
      ['plain', plainBytes],
      'bytes',
      TARGETS.compressed.bytesAlone
    )
  ]
}

function compressingSender (extensions: string): Promise<Sender> {
  return serviceSender({ subscribers: SUBSCRIBERS, extensions }, 250, { STREAM_COMPRESSION: 'true' })
}

async function stopAll (senders: ReadonlyArray<Sender | undefined>): Promise<void> {
  await Promise.all(senders.map((sender) => sender?.stop()))
}
