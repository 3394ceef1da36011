/** A list that the api gives page by page. */
import { asProblem, type Problem } from './problem'

export interface PageOf<T> {
  items: T[]
  next: string | null
}
export type ReadPage<T> = (cursor: string | undefined) => Promise<PageOf<T>>

const MOST = 20_000 // records that a tab keeps; to see others, the person filters the list

export class Paged<T> {
  items: T[] = $state.raw([])
  loading = $state(false)
  problem: Problem | null = $state.raw(null)
  /** Whether the list has been read to its end. */
  complete = $state(false)
  #next: string | null = null
  #turn = 0 // of two readings only the later one counts
  #anew = true // whether the page that is read next replaces all that is shown
  #places = new Map<string, number>() // the place of each key in `items`
  #early = new Map<string, T>() // what changed while a page was read: the page may be older

  constructor(
    readonly key: (item: T) => string,
    private read: ReadPage<T>,
  ) {}

  /** Whether the tab keeps no more of the list, although there is more. */
  get full(): boolean {
    return !this.complete && this.items.length >= MOST
  }

  /** Begins anew, with another way to read if there is one. */
  async reload(read: ReadPage<T> = this.read): Promise<void> {
    this.read = read
    this.#next = null
    this.#anew = true
    this.complete = false
    await this.#load(++this.#turn)
  }

  /** Reads the next page, unless one is being read or none follows. */
  async more(): Promise<void> {
    if (!this.loading && !this.complete && !this.full) await this.#load(this.#turn)
  }

  /** Returns the record with this key, if the list shows it. */
  get(key: string): T | undefined {
    return this.items[this.#places.get(key) ?? -1]
  }

  /** Puts records that have changed into their places. Records that the list does not show are left out. */
  take(records: readonly T[]): void {
    if (this.loading) for (const record of records) this.#early.set(this.key(record), record)
    const shown = records.filter((record) => this.#places.has(this.key(record)))
    if (!shown.length) return
    const items = this.items.slice()
    for (const record of shown) items[this.#places.get(this.key(record))!] = record
    this.items = items
  }

  async #load(turn: number): Promise<void> {
    this.loading = true
    this.problem = null
    this.#early.clear()
    try {
      const page = await this.read(this.#next ?? undefined)
      if (turn === this.#turn) this.#show(page)
    } catch (error) {
      if (turn !== this.#turn) return
      if (this.#anew) this.#replace([]) // rows of another list must not stand beneath new filters
      this.problem = asProblem(error)
    } finally {
      if (turn === this.#turn) {
        this.loading = false
        if (this.#early.size) this.take([...this.#early.values()])
      }
    }
  }

  #show(page: PageOf<T>): void {
    if (this.#anew) this.#replace([])
    this.#anew = false
    const added = page.items.filter((item) => !this.#places.has(this.key(item)))
    this.#replace([...this.items, ...added])
    this.#next = page.next
    this.complete = page.next === null
  }

  #replace(items: T[]): void {
    this.items = items
    this.#places = new Map(items.map((item, place) => [this.key(item), place]))
  }
}
