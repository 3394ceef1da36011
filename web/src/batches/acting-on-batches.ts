/** What a person does to a batch: start, pause, resume, cancel, retry and delete all of it. */
import { deliveriesBy } from '../deliveries/delivery-pages'
import { filesOf } from '../files/file-pages'
import { deliveryAction, fileAction } from '../shared/acting'
import { api, data, type Batch } from '../shared/api'
import { count } from '../shared/format'
import { every, toEach } from '../shared/many.svelte'
import { attempt } from '../shared/messages.svelte'
import { batchName } from '../shared/places'
import { ask } from '../shared/questions.svelte'
import { session } from '../shared/session.svelte'
import { failuresOf, total } from './words'

export type BatchAction = 'start' | 'pause' | 'resume' | 'cancel' | 'retry' | 'delete'
type Move = Exclude<BatchAction, 'delete'>

export const WORDS: Record<BatchAction, string> = {
  start: 'Start',
  pause: 'Pause',
  resume: 'Resume',
  cancel: 'Cancel',
  retry: 'Retry what failed',
  delete: 'Delete',
}
const ACTIONS: Record<Batch['state'], BatchAction[]> = {
  PLANNING: ['cancel', 'delete'],
  PLANNED: ['start', 'cancel', 'delete'],
  REGISTERING: ['pause', 'cancel', 'delete'],
  RUNNING: ['pause', 'cancel', 'delete'],
  PAUSED: ['resume', 'cancel', 'delete'],
  DONE: ['delete'],
  CANCELLED: ['retry', 'delete'],
  DELETING: [],
  DELETED: [],
}
const PAGE = 1000
const OVER: ReadonlySet<string> = new Set(['PLANNED', 'DONE', 'CANCELLED'])

/** What the account may do to the batch in its state. */
export function batchActions(batch: Batch): BatchAction[] {
  const possible = ACTIONS[batch.state]
  const retry: BatchAction[] = failuresOf(batch) && ['DONE', 'RUNNING', 'REGISTERING'].includes(batch.state) ? ['retry'] : []
  return [...retry, ...possible].filter((action) => session.may(action === 'delete' ? 'delete' : 'prepare'))
}

/** Does the action, after a question if much follows from it. Returns the batch as it is then; null: nothing was done. */
export async function actOnBatch(batch: Batch, action: BatchAction): Promise<Batch | null> {
  if (!(await agreed(batch, action))) return null
  let after: Batch | null = null
  await attempt(`${WORDS[action]}: ${batchName(batch)}`, async () => {
    after = await (action === 'delete' ? remove(batch) : action === 'retry' && batch.state !== 'DONE' && batch.state !== 'CANCELLED' ? retryMembers(batch) : move(batch, action))
  })
  return after
}

function agreed(batch: Batch, action: BatchAction): Promise<boolean> {
  const files = count(total(batch.counts?.files), 'file')
  const name = batchName(batch)
  if (['PLANNING', 'PLANNED'].includes(batch.state) && (action === 'cancel' || action === 'delete')) {
    const title = `${WORDS[action]} the plan`
    return ask({ title, text: `Nothing of ${name} was sent.`, yes: title })
  }
  if (action === 'pause')
    return ask({ title: 'Pause the batch', text: `Nothing of ${name} begins any more, until it is resumed. What is stored is kept. It has ${files}.`, yes: `Pause ${files}` })
  if (action === 'cancel')
    return ask({ title: 'Cancel the batch', text: `What is open of ${name} stops for good. It has ${files}; what is stored of them stays until it is deleted.`, yes: `Cancel ${files}` })
  if (action === 'delete') {
    const first = OVER.has(batch.state) ? '' : 'The batch is cancelled first. '
    return ask({ title: 'Delete the batch', text: `${first}The stored bytes of ${files} of ${name} are deleted here. Objects that were delivered stay at their targets.`, yes: `Delete ${files}` })
  }
  return Promise.resolve(true)
}

function move(batch: Batch, action: Move): Promise<Batch> {
  return data(api.POST(`/batches/{batch_id}/${action}`, { params: { path: { batch_id: batch.batch_id } } }))
}

function remove(batch: Batch): Promise<Batch> {
  const query = OVER.has(batch.state) ? {} : { cancel: true }
  return data(api.DELETE('/batches/{batch_id}', { params: { path: { batch_id: batch.batch_id }, query } }))
}

/** Retries what has failed so far of a batch that still runs. The batch as a whole can be retried only when it is over. */
async function retryMembers(batch: Batch): Promise<Batch> {
  async function* failed(): AsyncGenerator<{ name: string; retry: () => Promise<unknown> }> {
    for await (const file of every(filesOf({ batch: batch.batch_id, state: ['FAILED'] }, PAGE))) yield { name: file.name, retry: () => fileAction(file, 'retry') }
    for await (const one of every(deliveriesBy({ batch: batch.batch_id, state: ['FAILED'] }, PAGE))) yield { name: `${one.object_name} to ${one.target}`, retry: () => deliveryAction(one, 'retry') }
  }
  await toEach('Retry what failed', failed(), { work: (one) => one.retry(), nameOf: (one) => one.name, whole: null })
  return data(api.GET('/batches/{batch_id}', { params: { path: { batch_id: batch.batch_id } } }))
}
