// Control characters, and characters that reorder or hide text. A reader must see that they are there.
const INVISIBLE = /[\p{Cc}\p{Bidi_C}\u00ad\u115f\u1160\u200b-\u200d\u2028\u2029\u2060-\u2064\u3164\ufeff]/gu
const SHOWN_AS_THEY_ARE = '\n\t'
const NAMES: Readonly<Record<number, string>> = {
  0x00ad: 'SHY',
  0x061c: 'ALM',
  0x200b: 'ZWSP',
  0x200c: 'ZWNJ',
  0x200d: 'ZWJ',
  0x200e: 'LRM',
  0x200f: 'RLM',
  0x2028: 'LS',
  0x2029: 'PS',
  0x202a: 'LRE',
  0x202b: 'RLE',
  0x202c: 'PDF',
  0x202d: 'LRO',
  0x202e: 'RLO',
  0x2066: 'LRI',
  0x2067: 'RLI',
  0x2068: 'FSI',
  0x2069: 'PDI',
  0xfeff: 'BOM'
}
const PICTURES = 0x2400 // U+2400 to U+241F show the controls U+0000 to U+001F.
const JOINERS: readonly number[] = [0x200c, 0x200d]

/**
 * A text with marks in place of characters that cannot be seen: `␛` for ESC, `⟨RLO⟩` for U+202E. Line feeds and tabs
 * stay. Joiners between letters stay, because scripts and emoji need them.
 */
export function visibleText (text: string): string {
  return text.replace(INVISIBLE, (character, index: number) => {
    const code = character.charCodeAt(0)
    if (SHOWN_AS_THEY_ARE.includes(character)) return character
    if (JOINERS.includes(code) && index > 0 && index + 1 < text.length) return character
    return code < 0x20 ? String.fromCharCode(PICTURES + code) : `⟨${NAMES[code] ?? codeName(code)}⟩`
  })
}

/** A text on one line, at most `most` UTF-16 code units of it. */
export function oneLine (text: string, most: number): string {
  return visibleText(text.length > most ? `${text.slice(0, most)}…` : text).replace(/[\n\t]+/g, ' ')
}

function codeName (code: number): string {
  return `U+${code.toString(16).toUpperCase().padStart(4, '0')}`
}
