import type { ConversationEntry } from './api.ts'

/** An entry of a conversation; a tool call together with its output. */
export interface FoldedEntry {
  readonly entry: ConversationEntry
  readonly output: ConversationEntry | undefined
}

/** How far behind its call an output is looked for. */
const FARTHEST = 50

/** Puts each tool output with the nearest call of the same tool before it. Other entries stay where they are. */
export function foldTools (entries: readonly ConversationEntry[]): FoldedEntry[] {
  const folded: FoldedEntry[] = []
  const waiting: { tool: string, at: number }[] = []
  for (const entry of entries) {
    if (entry.kind === 'tool_output' && entry.tool !== null) {
      const index = waiting.findIndex(({ at, tool }) => tool === entry.tool && folded.length - at <= FARTHEST)
      const [call] = index < 0 ? [] : waiting.splice(index, 1)
      const before = call === undefined ? undefined : folded[call.at]
      if (call !== undefined && before !== undefined) {
        folded[call.at] = { ...before, output: entry }
        continue
      }
    }
    if (entry.kind === 'tool_call' && entry.tool !== null) waiting.push({ tool: entry.tool, at: folded.length })
    folded.push({ entry, output: undefined })
  }
  return folded
}
