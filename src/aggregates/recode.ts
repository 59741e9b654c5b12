import type { Chunk, Codes } from './chunk.ts'
import type { DictionaryColumn } from './columns.ts'
import { FIRST_CODE, MOST_VALUES, OTHER, createDictionary, type DictionaryWriter } from './dictionary.ts'

const WIDEST_SHORT_CODE = 0xffff

/** New codes for the texts that the rows of one column have. */
export interface Recoding {
  /** The texts that occur in a row. */
  readonly dictionary: DictionaryWriter
  /** Recodes a full chunk ahead, so that its codes need only be replaced. */
  prepare (chunk: Chunk, column: DictionaryColumn): void
  /** Returns the prepared codes for these codes. If none were prepared, makes them for the first `rows` rows. */
  recode (codes: Codes, rows: number): Codes
  /** The new code of an old one. `undefined`: the text occurs in no row. */
  codeOf (code: number): number | undefined
}

/** Recodes a column of a table. Texts may be added to the dictionary before while chunks are prepared. */
export function createRecoding (before: DictionaryWriter): Recoding {
  const dictionary = createDictionary()
  const newCodes = new Uint32Array(FIRST_CODE + MOST_VALUES) // 0: no new code yet; `MISSING` keeps its code.
  const prepared = new Map<Codes, Codes>()
  return {
    dictionary,
    prepare,
    recode: (codes, rows) => prepared.get(codes) ?? recoded(codes, rows),
    codeOf: (code) => code < FIRST_CODE ? code : newCodes[code] || undefined
  }

  function prepare ({ codes, rows, secondSessions }: Chunk, column: DictionaryColumn): void {
    const columns = column === 'session' ? [codes.session, secondSessions] : [codes[column]]
    for (const each of columns) {
      if (each !== undefined && each.length === rows && !prepared.has(each)) prepared.set(each, recoded(each, rows))
    }
  }

  function recoded (codes: Codes, rows: number): Codes {
    const { textOf } = before.snapshot()
    const wide = new Uint32Array(codes.length)
    for (let row = 0; row < rows; row++) wide[row] = recodeOne(codes[row] ?? 0, textOf)
    return dictionary.snapshot().size <= WIDEST_SHORT_CODE ? new Uint16Array(wide) : wide
  }

  function recodeOne (code: number, textOf: (code: number) => string | undefined): number {
    if (code === OTHER) return dictionary.markCapped()
    if (code >= FIRST_CODE && newCodes[code] === 0) newCodes[code] = dictionary.encode(textOf(code))
    return newCodes[code] ?? 0
  }
}
