import { pauseIfDue } from '../audit/time-slice.ts'

/** The most numbers that are sorted or merged in one step. */
const STEP = 4096

/** Sorts numbers in slices of time: sorted runs are merged, and each pass doubles their length. */
export async function sortedNumbers (numbers: Float64Array): Promise<Float64Array> {
  const { length } = numbers
  let [sorted, other] = [numbers.slice(), new Float64Array(length > STEP ? length : 0)]
  for (let start = 0; start < length; start += STEP) {
    sorted.subarray(start, start + STEP).sort()
    await pauseIfDue()
  }
  for (let run = STEP; run < length; run *= 2) {
    for (let start = 0; start < length; start += 2 * run) await merge(sorted, other, start, run)
    ;[sorted, other] = [other, sorted]
  }
  return sorted
}

/** Merges two neighbouring runs. */
async function merge (from: Float64Array, to: Float64Array, start: number, run: number): Promise<void> {
  const middle = Math.min(start + run, from.length)
  const end = Math.min(middle + run, from.length)
  let [first, second] = [start, middle]
  for (let at = start; at < end; at++) {
    if (at % STEP === 0) await pauseIfDue()
    const isOfFirst = first < middle && (second >= end || (from[first] ?? 0) <= (from[second] ?? 0))
    to[at] = from[isOfFirst ? first++ : second++] ?? 0
  }
}
