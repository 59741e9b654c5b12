import { pauseIfDue } from '../audit/time-slice.ts'
import { FIRST_CODE, type Dictionary } from './dictionary.ts'

const VALUES_BETWEEN_PAUSES = 1000

/** The code of one value in each dictionary. `undefined`: the dictionary does not hold it. Valid until the next value. */
export type ValueCodes = ReadonlyArray<number | undefined>

/** Visits each value of several dictionaries once, in slices of time. */
export async function eachValue (
  dictionaries: readonly Dictionary[],
  visit: (codes: ValueCodes) => void
): Promise<void> {
  const codes: Array<number | undefined> = dictionaries.map(() => undefined)
  for (const [place, dictionary] of dictionaries.entries()) {
    for (let code = FIRST_CODE; code < dictionary.size; code++) {
      if (code % VALUES_BETWEEN_PAUSES === 0) await pauseIfDue()
      codes[place] = code
      if (dictionaries.length === 1 || isFirst(dictionaries, place, codes)) visit(codes)
    }
  }
}

/** Finds the codes of a value. `false`: a dictionary before `place` holds it, so it was visited. */
function isFirst (dictionaries: readonly Dictionary[], place: number, codes: Array<number | undefined>): boolean {
  const text = dictionaries[place]?.textOf(codes[place] ?? 0) ?? ''
  for (const [other, { codeOf }] of dictionaries.entries()) {
    if (other === place) continue
    codes[other] = codeOf(text)
    if (other < place && codes[other] !== undefined) return false
  }
  return true
}

/** The text of a value. */
export function textOfCodes (dictionaries: readonly Dictionary[], codes: ValueCodes): string {
  const place = codes.findIndex((code) => code !== undefined)
  return dictionaries[place]?.textOf(codes[place] ?? 0) ?? ''
}
