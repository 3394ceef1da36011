/** A list that follows the events: its records change in their places, and new ones are counted until they are shown. */
import { Paged, type ReadPage } from './paged.svelte'
import { isLater } from './times'

interface Dated {
  created_at: string
}

export class LiveList<T extends Dated> extends Paged<T> {
  /** How many records were made since the list was read. They are not put before the rows, which somebody may aim at. */
  unseen = $state(0)
  #unseen = new Set<string>()

  /** `belongs` says whether the list shows a record, and `byAge` whether the newest records come first. */
  constructor(
    key: (record: T) => string,
    read: ReadPage<T>,
    private readonly belongs: (record: T) => boolean,
    private readonly byAge: () => boolean,
  ) {
    super(key, read)
  }

  override async reload(read?: ReadPage<T>): Promise<void> {
    this.#unseen.clear()
    this.unseen = 0
    await super.reload(read)
  }

  /** Takes the records of events, and counts those that are new. */
  override take(records: readonly T[]): void {
    super.take(records)
    if (this.loading) return // the page that is read may have them; once it is there, they are given again
    const newest = this.byAge() ? this.items[0]?.created_at : undefined
    for (const record of records) {
      const isNew = this.complete || (newest !== undefined && isLater(record.created_at, newest))
      if (isNew && !this.get(this.key(record)) && this.belongs(record)) this.#unseen.add(this.key(record))
    }
    this.unseen = this.#unseen.size
  }
}
