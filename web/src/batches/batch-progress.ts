/** How far a batch is: files that are stored, and deliveries that have arrived, against all that there are. */
import type { Batch } from '../shared/api'
import { bytes, count } from '../shared/format'
import { isOpen } from '../shared/states'

interface BatchProgress {
  done: number
  /** Bytes to store and to deliver; 0: nothing moves, so there is no bar. */
  whole: number
  words: string
}

type Groups = Record<string, { count: number; bytes: number }>

export function batchProgress(batch: Batch): BatchProgress {
  if (batch.state === 'PLANNING' || batch.state === 'PLANNED') return planned(batch)
  const { files = {}, deliveries = {} } = batch.counts ?? {}
  const all = sum(files)
  if (all.count === 0 && isOpen(batch)) return { done: 0, whole: 0, words: 'its files are being counted' }
  const stored = sum(files, ['STORED', 'DELETING', 'DELETED'])
  const delivered = sum(deliveries, ['DELIVERED'])
  const whole = all.bytes * (1 + batch.deliver_to.length)
  const words = [`${stored.count.toLocaleString('en')} of ${count(all.count, 'file')} stored (${bytes(all.bytes)})`]
  if (batch.deliver_to.length) words.push(`${delivered.count.toLocaleString('en')} delivered`)
  if (!batch.registered) words.push('still counting')
  return { done: stored.bytes + delivered.bytes, whole, words: words.join(' · ') }
}

/** A batch that is only planned moves nothing: its words tell what it would do. */
function planned({ plan }: Batch): BatchProgress {
  return { done: 0, whole: 0, words: plan ? `would send ${count(plan.files, 'file')} (${bytes(plan.bytes)})` : '' }
}

function sum(groups: Groups, states?: string[]): { count: number; bytes: number } {
  const taken = Object.entries(groups).filter(([state]) => !states || states.includes(state))
  return {
    count: taken.reduce((total, [, group]) => total + group.count, 0),
    bytes: taken.reduce((total, [, group]) => total + group.bytes, 0),
  }
}
