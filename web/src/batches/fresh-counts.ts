/** Keeps the counts of open batches fresh. The server counts a batch when somebody looks at it, and no event tells of that. */
import { api, data, type Batch } from '../shared/api'
import { live } from '../shared/live.svelte'
import { isLater } from '../shared/times'

const PAUSE_MS = 1500 // from one look to the next
const MORE_LOOKS = 3 // at counts that did not become newer

export interface Looking {
  /** Looks at the batch soon. */
  look: (batchId: string) => void
  end: () => void
}

/** Calls `take` with a batch a little after members of it have changed. `wanted` says which batches are shown. */
export function keepCounted(wanted: (batchId: string) => boolean, take: (batch: Batch) => void): Looking {
  const due = new Set<string>()
  const seen = new Map<string, { countedAt: string | undefined; again: number }>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let ended = false

  const unfollow = live.follow((changes) => {
    for (const { kind, record } of changes) if (kind !== 'batch' && record.batch_id && wanted(record.batch_id)) look(record.batch_id)
  })

  function look(batchId: string) {
    due.add(batchId)
    timer ??= setTimeout(readAll, PAUSE_MS)
  }

  async function readAll() {
    const ids = [...due]
    due.clear()
    for (const id of ids) {
      // A look that fails is made again with the next change of a member; the page says elsewhere that it is not connected.
      await data(api.GET('/batches/{batch_id}', { params: { path: { batch_id: id } } })).then(taken, () => undefined)
    }
    timer = due.size ? setTimeout(readAll, PAUSE_MS) : undefined
  }

  /** The server keeps its counts for a while. Counts that were seen before are older than the change, so it looks again. */
  function taken(batch: Batch) {
    if (ended) return
    const countedAt = batch.counts?.counted_at
    const before = seen.get(batch.batch_id)
    const again = before?.countedAt === countedAt ? (before?.again ?? 0) + 1 : 0
    if (again > 0 && again <= MORE_LOOKS) due.add(batch.batch_id)
    seen.set(batch.batch_id, { countedAt, again })
    take(batch)
  }

  function end() {
    ended = true
    unfollow()
    clearTimeout(timer)
    due.clear()
  }

  return { look, end }
}

/** Returns the batch as an event tells it, with the counts of before if those are newer. */
export function withNewerCounts(before: Batch | null | undefined, batch: Batch): Batch {
  const [older, newer] = [before?.counts, batch.counts]
  return older && (!newer || isLater(older.counted_at, newer.counted_at)) ? { ...batch, counts: older } : batch
}
