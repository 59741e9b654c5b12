/** What a figure has to be. */
export type Bound = { readonly most: number } | { readonly least: number } | { readonly equal: number }

/** A line of the report. */
export interface Row {
  readonly figure: string
  /** In words, with units. */
  readonly measured: string
  /** The number that the bound is about; `undefined`: it could not be measured, and `measured` says why. */
  readonly value?: number
  readonly bound?: Bound
  /** Largest share of CPU time that others took in a slice that counts. */
  readonly steal?: number
}

export function isMet ({ bound, value }: Row): boolean | undefined {
  if (bound === undefined || value === undefined) return undefined
  if ('most' in bound) return value <= bound.most
  return 'least' in bound ? value >= bound.least : value === bound.equal
}

/** A ratio with its parts, for one line. */
export function ratioRow (
  figure: string,
  [name, value]: [string, number],
  [peer, other]: [string, number | undefined],
  unit: string,
  bound: Bound,
  steal?: number
): Row {
  const more = steal === undefined ? {} : { steal }
  if (other === undefined) return { figure, measured: `${peer} is not installed`, bound, ...more }
  return {
    figure,
    measured: `${name} ${format(value)} ${unit}, ${peer} ${format(other)}`,
    value: value / other,
    bound,
    ...more
  }
}

export function format (value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)
}
