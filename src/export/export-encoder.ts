import { createHash } from 'node:crypto'
import { encodeCursor } from '../audit/cursor.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import type { ExportFormat } from './export-format.ts'
import type { ExportEnd, ExportStep } from './export-request.ts'

/** What was written of an export. */
export interface ExportTotals {
  readonly events: number
  /** Before compression. */
  readonly bytes: number
  /** `undefined`: the export has not reached its end. */
  readonly end: ExportEnd | undefined
}

/** An export as bytes. */
export interface EncodedExport {
  /** Chunks of some 64 KB. The steps are pulled as these are. */
  readonly chunks: AsyncGenerator<Buffer, void, void>
  /** As of now. */
  totals (): ExportTotals
}

const CHUNK_CHARACTERS = 65_536

/** Encodes the steps of an export. The end follows the last event; without an end, an error cut the export. */
export function encodeExport (steps: AsyncIterable<ExportStep>, format: ExportFormat): EncodedExport {
  const hash = createHash('sha256')
  let events = 0
  let bytes = 0
  let end: ExportEnd | undefined
  return { chunks: encode(), totals: () => ({ events, bytes, end }) }

  async function * encode (): AsyncGenerator<Buffer, void, void> {
    if (format.head !== '') yield chunkOf(format.head)
    for await (const step of steps) {
      if (step.kind === 'end') {
        end = step
        const text = format.end(summaryOf(step))
        if (text !== '') yield chunkOf(text)
        return
      }
      let text = ''
      for (const event of step.events) {
        text += format.event(event, events++)
        if (text.length >= CHUNK_CHARACTERS) {
          yield chunkOf(text)
          text = ''
        }
        const pause = pauseIfDue()
        if (pause !== undefined) await pause
      }
      if (text !== '') yield chunkOf(text)
    }
  }

  function chunkOf (text: string): Buffer {
    const chunk = Buffer.from(text)
    hash.update(chunk)
    bytes += chunk.length
    return chunk
  }

  function summaryOf ({ complete, next, skipped }: ExportEnd) {
    const cursor = next === undefined ? null : encodeCursor(next)
    return { complete, events, next: cursor, sha256: hash.copy().digest('hex'), skipped }
  }
}
