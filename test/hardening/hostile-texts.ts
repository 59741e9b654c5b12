export const MB = 1024 * 1024
export const MARKS = ['\u0345', '\u0301', '\u0323', '\u0327', '\u0334'] as const

/** A megabyte each. Where folding takes quadratic time, one of them takes minutes. */
export const HOSTILE = {
  'marks out of canonical order': `a${'\u0301'.repeat(MB / 4)}${'\u0323'.repeat(MB / 4)}`,
  'one starter with marks of falling classes': `a${
    Array.from({ length: MB / 2 }, (_, n) => MARKS[n % MARKS.length]).join('')
  }`,
  'marks that become several': `a${'\u0344'.repeat(MB / 4)}${'\u0323'.repeat(MB / 4)}`,
  'jamo without end': `\u1100${'\u1161'.repeat(MB / 3)}`,
  'one character of eighteen': '\ufdfa'.repeat(MB / 3),
  'runs just short enough': `a${'\u0301\u0323'.repeat(8)}`.repeat(MB / 33)
}
