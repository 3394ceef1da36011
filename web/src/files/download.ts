/** Downloads: a link with which the browser loads the file by itself, and bytes that the page shows. */
import { answered, api, data, type File } from '../shared/api'
import { ROOT } from '../shared/session.svelte'

export interface Link {
  href: string
  expires_at: string
}

/** Makes a link that needs no token beside it. Throws a Problem. */
export async function linkTo(file: File): Promise<Link> {
  const link = await data(api.POST('/files/{file_id}/links', { params: { path: { file_id: file.file_id } } }))
  // The path of a proxy before that of the api is the page's own.
  return { href: new URL(link.href.replace(/^\//, ''), ROOT).href, expires_at: link.expires_at }
}

/** Lets the browser download what the link leads to, as it downloads any link: it also goes on after a break. */
export function follow(link: Link, name: string): void {
  const anchor = document.createElement('a')
  anchor.href = link.href
  anchor.download = name.split('/').at(-1) ?? name
  anchor.click()
}

/** Reads the file's first bytes, or all of them. The server verifies every chunk before it sends it. Throws a Problem. */
export async function firstBytes(file: File, most: number, signal: AbortSignal): Promise<Blob> {
  if (file.length === 0) return new Blob()
  const headers = { Range: `bytes=0-${most - 1}` }
  const answer = await answered(new Request(`${ROOT}files/${file.file_id}/content`, { headers, signal }))
  return answer.blob()
}
