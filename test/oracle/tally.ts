import type { Story } from './story.ts'
import type { Truth } from './truth.ts'
import { judge, judgeTogether } from './verdict.ts'

const MOST_SHOWN = 20

/** Prints what every subscriber was given, and what is wrong with it; tells whether nothing is. */
export function tally (stories: readonly Story[], truth: Truth): boolean {
  const verdicts = stories.map((story) => ({ name: story.name, ...judge(story, truth) }))
  console.table(
    Object.fromEntries(
      verdicts.map((
        { name, given, repeats, gaps, excused, missing }
      ) => [name, { given, repeats, gaps, excused, missing }])
    )
  )
  const violations = [...verdicts.flatMap((verdict) => verdict.violations), ...judgeTogether(stories)]
  for (const { fault, what, who } of violations.slice(0, MOST_SHOWN)) console.log(`${fault}: ${who}: ${what}`)
  // A gap may be told for what a restart or a fault made uncertain, and come to nothing.
  const grave = violations.filter(({ fault }) => fault !== 'idle gap')
  console.log(`${grave.length} violations, ${violations.length - grave.length} gaps in which nothing is missing`)
  return grave.length === 0
}
