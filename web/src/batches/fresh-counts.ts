/** Keeps the counts of open batches fresh. The server counts a batch when somebody looks at it, and no event tells of that. */
import { api, data, type Batch } from '../shared/api'
import { live } from '../shared/live.svelte'

const PAUSE_MS = 1500 // from one look to the next
const OPEN: ReadonlySet<string> = new Set(['PLANNING', 'REGISTERING', 'RUNNING', 'PAUSED'])

export interface Looking {
  /** Looks at the batch soon. */
  look: (batchId: string) => void
  end: () => void
}

/** Calls `take` with a batch a little after members of it have changed. `wanted` says which batches are shown. */
export function keepCounted(wanted: (batchId: string) => boolean, take: (batch: Batch) => void): Looking {
  const due = new Set<string>()
  const countedAt = new Map<string, string | undefined>()
  let timer: ReturnType<typeof setTimeout> | undefined

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

  /** The server counts a large batch less often. Counts that were shown already are older than the change, so it looks again. */
  function taken(batch: Batch) {
    const { batch_id: id, counts } = batch
    if (isOpen(batch) && countedAt.has(id) && countedAt.get(id) === counts?.counted_at) due.add(id)
    countedAt.set(id, counts?.counted_at)
    take(batch)
  }

  return { look, end: () => (unfollow(), clearTimeout(timer), due.clear()) }
}

/** Returns the batch as an event tells it, with the counts of before if those are newer. */
export function withNewerCounts(before: Batch | null | undefined, batch: Batch): Batch {
  const [older, newer] = [before?.counts, batch.counts]
  return older && (!newer || newer.counted_at < older.counted_at) ? { ...batch, counts: older } : batch
}

export function isOpen(batch: Batch): boolean {
  return OPEN.has(batch.state)
}
