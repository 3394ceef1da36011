/** One batch that is watched: as it is now, with counts that are fresh while it is open. */
import { api, data, type Batch } from '../shared/api'
import { live } from '../shared/live.svelte'
import { Reading } from '../shared/reading.svelte'
import { isLater } from '../shared/times'
import { keepCounted, withNewerCounts } from './fresh-counts'

export class WatchedBatch {
  record = $state.raw<Batch | null>(null)
  readonly reading = new Reading(async () =>
    this.take(await data(api.GET('/batches/{batch_id}', { params: { path: { batch_id: this.id } } }))),
  )

  constructor(private readonly id: string) {}

  /** Follows the events of the batch and of its members; returns a function that ends this. */
  follow(): () => void {
    const counting = keepCounted(
      (id) => id === this.id,
      (batch) => this.take(batch),
    )
    const unfollow = live.follow((changes) => {
      for (const { kind, record } of changes) if (kind === 'batch' && record.batch_id === this.id) this.take(record)
    })
    return () => (unfollow(), counting.end())
  }

  /** Takes the batch of an answer or of an event, whichever is newer. Events and lists name only the first paths. */
  take(batch: Batch): void {
    const before = this.record
    const newer = before && isLater(before.updated_at, batch.updated_at) ? { ...before, counts: batch.counts } : batch
    const paths = before && before.paths.length > newer.paths.length ? before.paths : newer.paths
    this.record = { ...withNewerCounts(before, newer), paths }
  }
}
