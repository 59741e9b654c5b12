import type { ExportSummary } from './export-format.ts'

/** The last line of a text that is not complete. A complete text has none. */
export function incompleteLine ({ complete, events, next }: ExportSummary, lineEnd: string): string {
  return complete ? '' : `# incomplete: events=${events} next=${next ?? ''}${lineEnd}`
}
