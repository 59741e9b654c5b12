import { createRequire } from 'node:module'
import type { BuildCompilerFromPool } from '@fastify/ajv-compiler'

type Compile = ReturnType<BuildCompilerFromPool>
type Validate = ReturnType<Compile>

/**
 * What Fastify makes of the routes' schemas. Answers are sent as they are: their schemas are for the documents, and
 * nothing is compiled of them. What is asked is validated as Fastify does it, but compiled when a route is first asked
 * and not at start.
 */
export const schemaCompilers = {
  buildSerializer: () => () => JSON.stringify,
  buildValidator: deferredValidators
}

function deferredValidators (...parameters: Parameters<BuildCompilerFromPool>): Compile {
  let compile: Compile | undefined
  return (...route) => deferred(() => {
    compile ??= loadCompiler()(...parameters)
    return compile(...route)
  })
}

/** The build puts Fastify's own compiler into a file by itself, which is not read before. */
function loadCompiler (): BuildCompilerFromPool {
  const { AjvCompiler } = createRequire(import.meta.url)('#validators') as typeof import('@fastify/ajv-compiler')
  return AjvCompiler()
}

/** Fastify reads the faults off the function that has returned false. */
function deferred (compile: () => Validate): Validate {
  let validate: Validate | undefined
  const validateLater = ((data: unknown) => {
    validate ??= compile()
    const verdict = validate(data)
    validateLater.errors = validate.errors ?? null
    return verdict
  }) as Validate
  return validateLater
}
