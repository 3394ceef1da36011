/** The server's folders: the one that is shown, page by page, and which entries were chosen. */
import { SvelteMap } from 'svelte/reactivity'
import { api, data } from '../shared/api'
import type { components } from '../shared/api-types'
import { Paged } from '../shared/paged.svelte'
import { asProblem, type Problem } from '../shared/problem'

export type Root = components['schemas']['RootView']
export type Entry = components['schemas']['EntryView']
const PAGE = 200

class Browsing {
  roots: Root[] | null = $state.raw(null)
  problem: Problem | null = $state.raw(null)
  root: Root | null = $state.raw(null)
  /** The folders from the root to the one that is shown. */
  folders: string[] = $state.raw([])
  begins = $state('')
  readonly list: Paged<Entry> = new Paged<Entry>((entry) => entry.path, () => Promise.resolve({ items: [], next: null }))
  readonly chosen = new SvelteMap<string, Entry>()

  /** Reads the roots, and opens the root if it is the only one. */
  async begin(): Promise<void> {
    this.problem = null
    try {
      this.roots = (await data(api.GET('/roots'))).roots
    } catch (error) {
      this.problem = asProblem(error)
      return
    }
    const [only] = this.roots
    const still = this.roots.find((root) => root.name === this.root?.name)
    if (still) this.open(still, this.folders)
    else if (only && this.roots.length === 1) this.open(only, [])
    else this.root = null
  }

  open(root: Root | null, folders: string[]): void {
    this.root = root
    this.folders = folders
    this.begins = ''
    if (root) this.read()
  }

  /** Reads the folder that is shown, from its beginning. */
  read(): void {
    const { root, folders, begins } = this
    if (!root) return
    void this.list.reload(async (cursor) => {
      const query = { path: folders.join('/'), name_prefix: begins, limit: PAGE, ...(cursor ? { cursor } : {}) }
      const page = await data(api.GET('/roots/{root_name}/entries', { params: { path: { root_name: root.name }, query } }))
      return { items: page.entries, next: page.next_cursor }
    })
  }

  choose(entry: Entry): void {
    if (!this.chosen.delete(entry.path)) this.chosen.set(entry.path, entry)
  }

  /** Takes entries off what is chosen. */
  forget(entries: readonly Entry[]): void {
    for (const { path } of entries) this.chosen.delete(path)
  }

  /** The folder that is shown, as something that can be chosen. */
  get here(): Entry | null {
    if (!this.root) return null
    const path = [this.root.path.replace(/\/$/, ''), ...this.folders].join('/') || '/'
    return { name: this.folders.at(-1) ?? this.root.name, path, kind: 'folder', length: null, mtime: null, refused: null }
  }
}

export const browsing = new Browsing()
