const LONGEST_PATH = 512

/** The path without its query. A long path is cut, because the client chose it. */
export function pathOf (url: string): string {
  const end = url.indexOf('?')
  const path = end < 0 ? url : url.slice(0, end)
  return path.length <= LONGEST_PATH ? path : `${path.slice(0, LONGEST_PATH)}…`
}
