/** The dry run that is shown. It stays while other views are shown, so that it can be started or given up. */
import { api, data, type Batch } from '../shared/api'
import { session } from '../shared/session.svelte'
import { WatchedBatch } from '../batches/watched.svelte'

class Planning {
  /** The batch that only plans; null: there is none. */
  watched: WatchedBatch | null = $state.raw(null)
  #started = () => {}

  /** Shows the plan of the batch. `started` is called when the batch was started. */
  show(batch: Batch, started: () => void): void {
    this.watched = new WatchedBatch(batch.batch_id)
    this.watched.take(batch)
    this.#started = started
  }

  async start(): Promise<Batch | null> {
    const batch = this.watched?.record
    if (!batch) return null
    const begun = await data(api.POST('/batches/{batch_id}/start', { params: { path: { batch_id: batch.batch_id } } }))
    this.watched = null
    this.#started()
    return begun
  }

  /** Gives the plan up. The batch goes away; an account that may not delete cancels it. */
  async giveUp(): Promise<void> {
    const batch = this.watched?.record
    this.watched = null
    if (!batch) return
    const params = { path: { batch_id: batch.batch_id } }
    if (!session.may('delete')) await api.POST('/batches/{batch_id}/cancel', { params })
    else await api.DELETE('/batches/{batch_id}', { params: { ...params, query: { cancel: true } } })
  }
}

export const planning = new Planning()
