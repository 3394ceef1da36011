/** A dry run: the server looks what a batch would do, and the page shows it, so that it can be started or given up. */
import { api, data, type Batch } from '../shared/api'
import type { components } from '../shared/api-types'
import { asProblem, type Problem } from '../shared/problem'
import { session } from '../shared/session.svelte'

export type Skipped = components['schemas']['SkippedView']
const LOOK_MS = 700
export const SKIPPED_SHOWN = 20

class Planning {
  batch: Batch | null = $state.raw(null)
  skipped: Skipped[] = $state.raw([])
  problem: Problem | null = $state.raw(null)
  #turn = 0 // of two dry runs only the later one counts

  /** Follows the batch until its plan is there. */
  async follow(batch: Batch): Promise<void> {
    const turn = ++this.#turn
    this.batch = batch
    this.skipped = []
    this.problem = null
    try {
      while (turn === this.#turn && this.batch?.state === 'PLANNING') {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
        const read = await data(api.GET('/batches/{batch_id}', { params: { path: { batch_id: batch.batch_id } } }))
        if (turn === this.#turn) this.batch = read
      }
      if (turn === this.#turn) await this.#readSkipped(batch.batch_id)
    } catch (error) {
      if (turn === this.#turn) this.problem = asProblem(error)
    }
  }

  async start(): Promise<Batch | null> {
    const batch = this.batch
    if (!batch) return null
    const started = await data(api.POST('/batches/{batch_id}/start', { params: { path: { batch_id: batch.batch_id } } }))
    this.forget()
    return started
  }

  /** Gives the plan up. The batch goes away; an account that may not delete cancels it. */
  async giveUp(): Promise<void> {
    const batch = this.batch
    this.forget()
    if (!batch) return
    const params = { path: { batch_id: batch.batch_id } }
    if (!session.may('delete')) await api.POST('/batches/{batch_id}/cancel', { params })
    else await api.DELETE('/batches/{batch_id}', { params: { ...params, query: { cancel: true } } })
  }

  forget(): void {
    this.#turn++
    this.batch = null
    this.skipped = []
    this.problem = null
  }

  async #readSkipped(batchId: string): Promise<void> {
    const query = { limit: SKIPPED_SHOWN }
    this.skipped = (await data(api.GET('/batches/{batch_id}/skipped', { params: { path: { batch_id: batchId }, query } }))).skipped
  }
}

export const planning = new Planning()
