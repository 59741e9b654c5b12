/** The code of a missing or empty text. */
export const MISSING = 0
/** The code of every text that the dictionary does not hold. */
export const OTHER = 1
/** The first code of a text. */
export const FIRST_CODE = 2

export const MOST_VALUES = 100_000
/** Longest text that is held, in UTF-16 code units. */
export const LONGEST_VALUE = 1024
/** The bytes that one dictionary may take. A hundred thousand texts of 50 characters fit. */
export const MOST_DICTIONARY_BYTES = 12 * 1024 * 1024

// The header of a text, its entry in the map with the free ones, and its place in the list, as measured in Node 20.
const BYTES_OF_A_VALUE = 72
const BEYOND_LATIN_1 = /[^\0-\xff]/

/** The texts of one column at one moment. Later additions do not change it. */
export interface Dictionary {
  /** Codes below it are in use. */
  readonly size: number
  /** Whether a text was not held: it is too long, or the dictionary is full. Counts of values then lack some. */
  readonly isCapped: boolean
  /** `undefined`: the code stands for no text. */
  textOf (code: number): string | undefined
  /** `undefined`: no row has this text. */
  codeOf (text: string): number | undefined
}

export interface DictionaryWriter {
  /** The code of a text, which is added if it is new. `OTHER`: the text is too long, or the dictionary is full. */
  encode (text: string | undefined): number
  /** The dictionary as it is now. */
  snapshot (): Dictionary
  /** Estimated memory. It is at most `MOST_DICTIONARY_BYTES`. */
  bytes (): number
  /** Notes that a row has the code `OTHER`, and returns that code. */
  markCapped (): number
}

/** Gives each text of a column a code. It holds at most `MOST_VALUES` texts and `MOST_DICTIONARY_BYTES`. */
export function createDictionary (): DictionaryWriter {
  const codes = new Map<string, number>()
  const texts: Array<string | undefined> = [undefined, undefined]
  let bytes = 0
  let isCapped = false
  return { encode, snapshot, bytes: () => bytes, markCapped }

  function encode (text: string | undefined): number {
    if (text === undefined || text === '') return MISSING
    if (text.length > LONGEST_VALUE) return markCapped()
    return codes.get(text) ?? add(text)
  }

  function add (text: string): number {
    const needed = BYTES_OF_A_VALUE + bytesOf(text)
    if (codes.size >= MOST_VALUES || bytes + needed > MOST_DICTIONARY_BYTES) return markCapped()
    const code = texts.push(text) - 1
    codes.set(text, code)
    bytes += needed
    return code
  }

  function snapshot (): Dictionary {
    const size = texts.length
    return {
      size,
      isCapped,
      textOf: (code) => code < size ? texts[code] : undefined,
      codeOf (text) {
        const code = codes.get(text)
        return code !== undefined && code < size ? code : undefined
      }
    }
  }

  function markCapped (): number {
    isCapped = true
    return OTHER
  }
}

/** The bytes of a text in V8: one for each code unit if all are Latin-1, otherwise two. */
export function bytesOf (text: string): number {
  return BEYOND_LATIN_1.test(text) ? 2 * text.length : text.length
}
