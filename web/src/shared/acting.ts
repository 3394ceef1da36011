/** What a person does to records: pause, resume, cancel, retry, delete; one or many at once. */
import { api, data, type Delivery, type File } from './api'
import { attempt } from './messages.svelte'
import { ask } from './questions.svelte'
import type { Action } from './states'

export const WORDS: Record<Action | 'delete', string> = {
  pause: 'Pause',
  resume: 'Resume',
  cancel: 'Cancel',
  retry: 'Retry',
  delete: 'Delete',
}
const DONE: Record<Action, string> = {
  pause: 'is paused',
  resume: 'goes on',
  cancel: 'is cancelled',
  retry: 'is tried again',
}

export async function fileAction(file: File, action: Action): Promise<File> {
  return data(api.POST(`/files/{file_id}/${action}`, { params: { path: { file_id: file.file_id } } }))
}

export async function deliveryAction(delivery: Delivery, action: Action): Promise<Delivery> {
  return data(api.POST(`/deliveries/{delivery_id}/${action}`, { params: { path: { delivery_id: delivery.delivery_id } } }))
}

/** Does the action after a question, if it cannot be taken back, and says how it ended. */
export async function actOnFile(file: File, action: Action): Promise<void> {
  if (action === 'cancel' && !(await reallyCancel(file.name))) return
  await attempt(`${WORDS[action]} ${file.name}`, () => fileAction(file, action), `${file.name} ${DONE[action]}.`)
}

export async function actOnDelivery(delivery: Delivery, action: Action): Promise<void> {
  const name = `${delivery.object_name} to ${delivery.target}`
  if (action === 'cancel' && !(await reallyCancel(name))) return
  await attempt(`${WORDS[action]} ${name}`, () => deliveryAction(delivery, action), `${name} ${DONE[action]}.`)
}

function reallyCancel(what: string): Promise<boolean> {
  return ask({ title: 'Cancel', text: `Stop ${what} for good? What is stored stays until it is deleted.`, yes: 'Cancel it' })
}
