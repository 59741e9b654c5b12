import { parseAllDocuments } from 'yaml'

/** The objects of a manifest by their kind, of which there is one each. */
export function manifests (text: string): Record<string, any> {
  const documents = parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw new Error(String(document.errors[0]))
    return document.toJS()
  })
  const byKind = Object.fromEntries(documents.map((each) => [each.kind, each]))
  if (Object.keys(byKind).length !== documents.length) throw new Error('two of a kind')
  return byKind
}

/** Every name that a query may ask for, from what Prometheus reads. */
export function metricNames (exposition: string): Set<string> {
  const types = [...exposition.matchAll(/^# TYPE (\S+) (\S+)$/gm)]
  return new Set(
    types.flatMap(([, name = '', type]) =>
      type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => `${name}${end}`) : [name]
    )
  )
}

/** The metrics of a query: all of them begin so. */
export function namesOf (query: string): string[] {
  return query.match(/\b(?:kubiya|process|nodejs)_\w+/g) ?? []
}

/** Of `90s`. */
export function seconds (text: string): number {
  const [, count] = /^(\d+)s$/.exec(text) ?? []
  if (count === undefined) throw new Error(`not in seconds: ${text}`)
  return Number(count)
}

/** One instruction of a Dockerfile, with its continuation lines joined. */
interface Instruction { readonly name: string, readonly text: string }

/** The instructions of each stage; a stage begins with `FROM`. Comments are left out. */
function stagesOf (dockerfile: string): Instruction[][] {
  const lines = dockerfile.replace(/^#.*\n/gm, '').replace(/\\\n/g, ' ').split('\n').filter((line) => line.trim() !== '')
  const stages: Instruction[][] = []
  for (const line of lines) {
    const [, name = '', text = ''] = /^([A-Z]+) +(.*)$/.exec(line) ?? []
    if (name === 'FROM') stages.push([])
    stages.at(-1)?.push({ name, text })
  }
  return stages
}

/** What a Dockerfile does against the rules for the image; nothing if it keeps them. */
export function imageFaults (dockerfile: string, version: string): string[] {
  const stages = stagesOf(dockerfile)
  const last = stages.at(-1) ?? []
  const texts = (name: string, stage = stages.flat()) => stage.filter((each) => each.name === name).map(({ text }) => text)
  const rules: Record<string, boolean> = {
    'the last stage is not empty at its start': texts('FROM', last).join() === 'scratch',
    'the last stage runs a command': texts('RUN', last).length === 0,
    'the packages are not those of the lockfile': texts('RUN').some((text) => /^npm ci\b/.test(text)) &&
      texts('COPY').some((text) => /\bpackage-lock\.json\b/.test(text)),
    'a build step installs or downloads': !texts('RUN').some((text) => /\b(?:npm i(?:nstall)?|apt-get|curl|wget)\b/.test(text)),
    'the user is not a number above 0': /^[1-9]\d*:[1-9]\d*$/.test(texts('USER', last).at(-1) ?? ''),
    'a shell receives the signals': texts('CMD', last).join() === '["node", "--enable-source-maps", "dist/main.js"]' &&
      texts('ENTRYPOINT', last).length === 0,
    'the version is not that of the package': texts('ARG', last).includes(`VERSION=${version}`) &&
      texts('LABEL', last).some((text) => /org\.opencontainers\.image\.version="\$\{VERSION\}"/.test(text))
  }
  return Object.keys(rules).filter((fault) => rules[fault] !== true)
}
