/** The keys of the records that a person has selected. */

export class Selection {
  #keys: ReadonlySet<string> = $state.raw(new Set())

  get size(): number {
    return this.#keys.size
  }

  has(key: string): boolean {
    return this.#keys.has(key)
  }

  toggle(key: string): void {
    const keys = new Set(this.#keys)
    if (!keys.delete(key)) keys.add(key)
    this.#keys = keys
  }

  /** Selects these and no others. */
  choose(keys: Iterable<string>): void {
    this.#keys = new Set(keys)
  }

  clear(): void {
    this.choose([])
  }
}
