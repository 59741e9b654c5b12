import { readFileSync } from 'node:fs'
import { Ajv, type ValidateFunction } from 'ajv'
import type { Frame } from '../../src/live/transport/frames.ts'

/** What openapi/asyncapi.json says of the stream. */
export const asyncapi: Record<string, any> = JSON.parse(readFileSync('openapi/asyncapi.json', 'utf8'))

const ajv = new Ajv({ strict: false, allErrors: true })
ajv.addSchema(asyncapi, 'asyncapi.json')
const validators = new Map<unknown, ValidateFunction>(Object.keys(asyncapi.components.messages).map((type) =>
  [type, ajv.compile({ $ref: `asyncapi.json#/components/messages/${type}/payload` })]))

/** What is wrong with a frame by the published schema of its type; nothing where it is as it should be. */
export function faultOf (frame: unknown): string | undefined {
  const { type } = frame as { type?: unknown }
  const validate = validators.get(type)
  if (validate === undefined) return `no frame is called ${String(type)}`
  return validate(frame) ? undefined : ajv.errorsText(validate.errors, { dataVar: String(type) })
}

/**
 * Every frame that a test receives comes by here. Thrown where nobody catches it: the test that runs fails, whatever it
 * looks at.
 */
export function checkFrame (frame: Frame): void {
  const fault = faultOf(frame)
  if (fault !== undefined) {
    throw new Error(`a frame is not what openapi/asyncapi.json says: ${fault}: ${JSON.stringify(frame).slice(0, 500)}`)
  }
}
