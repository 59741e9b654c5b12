import { readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'

const POSITION = /(dist\/[\w./-]+\.js):(\d+):(\d+)/g

/**
 * Replaces the positions of built files in a text by those of their sources. Positions in packages stay, because the
 * build leaves packages out of the maps.
 */
export function atSources (text: string, mapOf: (file: string) => SourceMap | undefined = readMap): string {
  const maps = new Map<string, SourceMap | undefined>()
  return text.replace(POSITION, (position, file: string, line: string, column: string) => {
    if (!maps.has(file)) maps.set(file, mapOf(file))
    const entry = maps.get(file)?.findEntry(Number(line) - 1, Number(column) - 1)
    if (entry === undefined || !('originalSource' in entry)) return position
    const source = /(?:^|\/)((?:src|test|tools)\/[^:]+)$/.exec(entry.originalSource)?.[1]
    return source === undefined || source.includes('node_modules')
      ? position
      : `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
  })
}

function readMap (file: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${file}.map`, 'utf8')))
  } catch {
    return undefined // A file of another build.
  }
}
