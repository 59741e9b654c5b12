import { POLLER, type CallerPurpose, type Purpose } from '../../src/audit/source.ts'

export { POLLER }
export const CALLER: CallerPurpose = { kind: 'caller', key: 'a-caller' }

/** By name, for tables. */
export const PURPOSES: Record<Purpose['kind'], Purpose> = { caller: CALLER, poller: POLLER }
