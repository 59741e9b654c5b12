import type { ChunkWriter, Codes } from './chunk.ts'
import type { DictionaryColumn } from './columns.ts'
import { FIRST_CODE, OTHER, createDictionary, type Dictionary, type DictionaryWriter } from './dictionary.ts'

const WIDEST_SHORT_CODE = 0xffff

export interface RecodedColumn {
  readonly dictionary: DictionaryWriter
  /** The new code of an old one. `undefined`: no row has the text. */
  codeOf (code: number): number | undefined
}

/** Gives the texts that rows still have new codes, and writes them into the chunks. */
export function recodeColumn (
  before: Dictionary,
  column: DictionaryColumn,
  chunks: readonly ChunkWriter[]
): RecodedColumn {
  const dictionary = createDictionary()
  const newCodes = new Uint32Array(before.size) // 0: not used so far, as `MISSING` stays what it is.
  for (const chunk of chunks) chunk.replaceCodes(column, recode)
  return { dictionary, codeOf: (code) => code < FIRST_CODE ? code : newCodes[code] || undefined }

  function recode (codes: Codes, rows: number): Codes {
    const recoded = new Uint32Array(codes.length)
    for (let row = 0; row < rows; row++) recoded[row] = recodeOne(codes[row] ?? 0)
    return dictionary.snapshot().size <= WIDEST_SHORT_CODE ? Uint16Array.from(recoded) : recoded
  }

  function recodeOne (code: number): number {
    if (code === OTHER) return dictionary.markCapped()
    if (code >= FIRST_CODE && newCodes[code] === 0) newCodes[code] = dictionary.encode(before.textOf(code))
    return newCodes[code] ?? 0
  }
}
