/** A command that asks the service the same. It holds no credential: `$TOKEN` stands for it. */
export function curlCommand (address: URL, scheme: string | undefined): string {
  const header = scheme === undefined ? '' : `-H "Authorization: ${scheme} $TOKEN" `
  return `curl ${header}'${address.href.replaceAll("'", '%27')}'`
}
