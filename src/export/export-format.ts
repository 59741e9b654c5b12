import type { AuditEvent } from '../audit/event.ts'
import type { SkippedRange } from '../scan/skipped-range.ts'

export const FORMATS = ['ndjson', 'csv', 'json', 'txt'] as const
export type FormatName = typeof FORMATS[number]

/** What the end of an export says. */
export interface ExportSummary {
  readonly complete: boolean
  /** Events in this part. */
  readonly events: number
  /** The cursor of the next part; `null`: the window was read to its end. */
  readonly next: string | null
  /** Of all bytes before the end, in hexadecimal digits. */
  readonly sha256: string
  readonly skipped: readonly SkippedRange[]
}

/** How events are written. All functions are pure. */
export interface ExportFormat {
  readonly mediaType: string
  /** Of the file's name. */
  readonly extension: FormatName
  readonly head: string
  /** `index` counts from 0. */
  event (event: AuditEvent, index: number): string
  end (summary: ExportSummary): string
}
