/** A list that the api gives page by page. */
import { asProblem, type Problem } from './problem'

export interface PageOf<T> {
  items: T[]
  next: string | null
}
export type ReadPage<T> = (cursor: string | undefined) => Promise<PageOf<T>>

const MOST = 20_000 // records that a tab keeps; who looks for an older one filters

export class Paged<T> {
  items: T[] = $state.raw([])
  loading = $state(false)
  problem: Problem | null = $state(null)
  /** Whether the list has been read to its end. */
  complete = $state(false)
  #next: string | null = null
  #turn = 0 // of two readings only the later one counts

  constructor(
    private readonly key: (item: T) => string,
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
    this.complete = false
    const turn = ++this.#turn
    await this.#load(turn, [])
  }

  /** Reads the next page, unless one is being read or none follows. */
  async more(): Promise<void> {
    if (this.loading || this.complete || this.full) return
    await this.#load(this.#turn, this.items)
  }

  /** Puts a record that has changed into its place. Records that the list does not show are left out. */
  change(records: readonly T[]): void {
    const changed = new Map(records.map((record) => [this.key(record), record]))
    if (this.items.some((item) => changed.has(this.key(item))))
      this.items = this.items.map((item) => changed.get(this.key(item)) ?? item)
  }

  async #load(turn: number, before: T[]): Promise<void> {
    this.loading = true
    this.problem = null
    try {
      const page = await this.read(this.#next ?? undefined)
      if (turn !== this.#turn) return
      const known = new Set(before.map(this.key))
      this.items = [...before, ...page.items.filter((item) => !known.has(this.key(item)))]
      this.#next = page.next
      this.complete = page.next === null
    } catch (error) {
      if (turn === this.#turn) this.problem = asProblem(error)
    } finally {
      if (turn === this.#turn) this.loading = false
    }
  }
}
