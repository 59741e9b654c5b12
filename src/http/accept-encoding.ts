import type { ContentCoding } from '../archive/content-encoding.ts'

type Choice = ContentCoding | undefined

// Equal weights go to what makes the answer smallest.
const PREFERENCE = ['br', 'gzip', 'identity'] as const
const WEIGHT = /^q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/i
const MOST_REMEMBERED = 256
const LONGEST_REMEMBERED = 256

/** Chooses codings; what was chosen for a header's text is remembered, as callers send few different ones. */
export function createEncodingNegotiator (): (header: string | undefined) => Choice {
  const chosen = new Map<string, Choice>()

  return function choose (header) {
    if (header === undefined) return undefined // Any would do, but who asks for none may understand none.
    const known = chosen.get(header)
    if (known !== undefined || chosen.has(header)) return known
    const choice = negotiateEncoding(header)
    if (header.length <= LONGEST_REMEMBERED) {
      if (chosen.size >= MOST_REMEMBERED) chosen.clear()
      chosen.set(header, choice)
    }
    return choice
  }
}

/**
 * The coding that an `Accept-Encoding` likes best (RFC 9110 §12.5.3); `undefined` is identity, which is also the answer to
 * who accepts nothing that there is: a body in a coding that was not asked for would help less than the plain one.
 */
export function negotiateEncoding (header: string): Choice {
  const weights = readWeights(header)
  const weightOf = (name: string) => weights.get(name) ?? (name === 'identity' ? undefined : weights.get('*'))
  let best: typeof PREFERENCE[number] = 'identity'
  let bestWeight = 0
  for (const name of PREFERENCE) {
    const weight = weightOf(name) ?? 0
    if (weight > bestWeight) [best, bestWeight] = [name, weight]
  }
  return best === 'identity' ? undefined : best
}

function readWeights (header: string): Map<string, number> {
  const weights = new Map<string, number>()
  for (const element of header.toLowerCase().split(',')) {
    const [name = '', parameter, ...more] = element.split(';').map((part) => part.trim())
    const weight = parameter === undefined ? '1' : WEIGHT.exec(parameter)?.[1]
    // What is not written by the rules is not understood to accept anything.
    if (name !== '' && weight !== undefined && more.length === 0) weights.set(name === 'x-gzip' ? 'gzip' : name, Number(weight))
  }
  return weights
}
