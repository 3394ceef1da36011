/** The list of files as the page shows it: its pages, and how many new files it does not show yet. */
import { api, data, type File } from '../shared/api'
import type { Change } from '../shared/live.svelte'
import { Paged, type PageOf } from '../shared/paged.svelte'

const PAGE = 200

export class FileList extends Paged<File> {
  /** Files that were registered after those that the list shows. */
  unseen = $state(0)
  #unseen = new Set<string>()
  #asked: URLSearchParams

  constructor(asked: URLSearchParams) {
    super((file) => file.file_id, (cursor) => page(asked, cursor))
    this.#asked = asked
  }

  async ask(asked: URLSearchParams): Promise<void> {
    this.#asked = asked
    this.#unseen.clear()
    this.unseen = 0
    await this.reload((cursor) => page(asked, cursor))
  }

  again(): Promise<void> {
    return this.ask(this.#asked)
  }

  take(changes: readonly Change[]): void {
    const files = changes.filter((change) => change.kind === 'file').map((change) => change.record)
    this.change(files)
    if (this.loading || ['batch', 'target', 'order', 'name_prefix'].some((name) => this.#asked.has(name))) return
    const newest = this.items[0]?.created_at ?? ''
    const states = this.#asked.getAll('state')
    for (const file of files) {
      if (file.created_at > newest && states.includes(file.state) && !this.items.some((item) => item.file_id === file.file_id))
        this.#unseen.add(file.file_id)
    }
    this.unseen = this.#unseen.size
  }
}

async function page(asked: URLSearchParams, cursor: string | undefined): Promise<PageOf<File>> {
  const query = { ...Object.fromEntries(asked), state: asked.getAll('state') as File['state'][], limit: PAGE, cursor }
  const found = await data(api.GET('/files', { params: { query } }))
  return { items: found.files, next: found.next_cursor }
}
