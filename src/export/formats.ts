import { formatInstant, maxInstant } from '../audit/instant.ts'
import type { SkippedRange } from '../scan/skipped-range.ts'
import { csvFormat, type CsvOptions } from './csv.ts'
import type { ExportFormat, ExportSummary, FormatName } from './export-format.ts'
import { txtFormat } from './txt.ts'

/** Newline-delimited JSON: one published event on a line, and the end on the last line. */
const NDJSON: ExportFormat = {
  mediaType: 'application/x-ndjson; charset=utf-8',
  extension: 'ndjson',
  head: '',
  event: ({ json }) => `${json}\n`,
  end: (summary) => `{"export":${endJson(summary)}}\n`
}

/** One JSON object. */
const JSON_DOCUMENT: ExportFormat = {
  mediaType: 'application/json; charset=utf-8',
  extension: 'json',
  head: '{"items":[',
  event: ({ json }, index) => index === 0 ? json : `,\n${json}`,
  end: (summary) => `],"export":${endJson(summary)}}\n`
}

/** The format of an export. `csv` applies to CSV alone. */
export function formatOf (name: FormatName, csv: CsvOptions): ExportFormat {
  switch (name) {
    case 'ndjson': return NDJSON
    case 'json': return JSON_DOCUMENT
    case 'csv': return csvFormat(csv)
    case 'txt': return txtFormat
  }
}

function endJson ({ complete, events, next, sha256, skipped }: ExportSummary): string {
  return JSON.stringify({
    complete,
    events,
    next,
    sha256,
    ...skipped.length > 0 && { skipped: skipped.map(intervalOf) }
  })
}

function intervalOf ({ from, reason, to = from }: SkippedRange) {
  return { from: formatInstant(from), to: formatInstant(maxInstant(from, to)), reason }
}
