/**
 * Takes the place of `async-hook-domain` in the built tests. tap uses a domain to ascribe an uncaught error to one test.
 * Without domains such an error ends the process, and the runner reports the file as failed, with the error.
 */
export class Domain {
  constructor (readonly onerror: (error: unknown, type: string) => void) {}

  destroy (): void {}
}
