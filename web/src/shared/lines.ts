/** Lists as JSON Lines: one record a line, all pages of a list, saved as a file. */
import { answered } from './api'
import { ROOT } from './session.svelte'

const LINES = 'application/x-ndjson'
const PAGE = 1000

/** Saves every record of the list at `path` with this query. Returns how many there were. Throws a Problem. */
export async function saveLines(path: string, query: URLSearchParams, name: string): Promise<number> {
  const parts: Blob[] = []
  let records = 0
  let address: string | null = `${ROOT}${path}?${new URLSearchParams([...query, ['limit', String(PAGE)]])}`
  while (address) {
    const answer: Response = await answered(new Request(address, { headers: { Accept: LINES } }))
    const text = await answer.text()
    records += text.split('\n').length - 1
    parts.push(new Blob([text]))
    const next: string | undefined = /<([^>]*)>;\s*rel="?next/.exec(answer.headers.get('Link') ?? '')?.[1]
    // Only the query is taken: a proxy may have another path before that of the api.
    address = next ? `${ROOT}${path}${new URL(next, ROOT).search}` : null
  }
  saveBlob(new Blob(parts, { type: LINES }), name)
  return records
}

/** Lets the browser save what the page has made. */
export function saveBlob(blob: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}
