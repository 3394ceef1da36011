/** What mends a failure: beside the sentence that the server gives, the button that does it or the view that helps. */
import { api, data, type Delivery, type File } from './api'
import { attempt } from './messages.svelte'
import { ask } from './questions.svelte'
import { session } from './session.svelte'

export interface Remedy {
  label: string
  /** The view that helps; or else `act` does it. */
  href?: string
  act?: () => Promise<void>
}

const AT_TARGET = new Set([
  'target_unavailable',
  'target_locked',
  'target_busy',
  'target_full',
  'target_refused',
  'target_inconsistent',
  'target_mismatch',
  'target_misconfigured',
  'target_unknown',
  'not_an_object',
  'outcome_unknown',
])
const OF_SYSTEM = new Set([
  'no_worker',
  'worker_lost',
  'database_unavailable',
  'storage_full',
  'intake_busy',
  'broker_unavailable',
  'broker_refuses_writes',
  'broker_key_taken',
  'foreign_messages',
  'chunk_service_unavailable',
  'chunk_service_failed',
  'chunk_service_refused',
  'clocks_differ',
])
const SENT_ANEW = new Set(['upload_gone', 'list_gone', 'file_deleted', 'part_gone', 'upload_digest_mismatch', 'source_missing', 'manifest_mismatch'])
const STORED_WRONG = new Set(['integrity', 'chunk_missing', 'chunk_corrupt', 'chunk_doubled', 'content_mismatch', 'segment_damaged'])

/** Returns the further remedies of a delivery's failure; a retry is offered beside them. */
export function remediesOf(delivery: Delivery): Remedy[] {
  return remediesByCode(delivery).filter((remedy) => remedy.href || session.may('finalize'))
}

function remediesByCode(delivery: Delivery): Remedy[] {
  const code = delivery.error?.code ?? delivery.waiting?.code ?? delivery.object_error?.code ?? ''
  if (code === 'object_exists')
    return [
      { label: 'Deliver under a free name', act: () => deliverAgain(delivery, 'rename') },
      { label: 'Replace the object', act: () => replace(delivery) },
    ]
  if (code === 'target_not_exclusive') return [{ label: 'Deliver, and replace what has the name', act: () => replace(delivery) }]
  if (code === 'object_name_busy') {
    const query = new URLSearchParams({ name_prefix: delivery.object_name, order: 'name' })
    return [{ label: 'See who holds the name', href: `#/deliveries?${query}` }]
  }
  if (AT_TARGET.has(code)) return [{ label: `Look at ${delivery.target}`, href: `#/targets/${encodeURIComponent(delivery.target)}` }]
  if (STORED_WRONG.has(code)) return [{ label: 'See the chunks', href: `#/files/${delivery.file_id}` }]
  return ofAny(code)
}

/** Returns the further remedies of a file's failure. */
export function fileRemediesOf(file: File): Remedy[] {
  const code = file.error?.code ?? file.waiting?.code ?? ''
  if (STORED_WRONG.has(code)) return [{ label: 'See the chunks', href: `#/files/${file.file_id}` }]
  if (file.upload) return [{ label: 'Go on with the upload', href: '#/send' }]
  if (code === 'quota_exceeded') return [{ label: 'See what is stored', href: '#/files?state=STORED' }]
  return ofAny(code)
}

/** Returns what mends a failure of any record. */
function ofAny(code: string): Remedy[] {
  if (SENT_ANEW.has(code) && session.may('prepare')) return [{ label: 'Send it anew', href: '#/send' }]
  if (OF_SYSTEM.has(code) && session.may('admin')) return [{ label: 'Look at the system', href: '#/system' }]
  return []
}

async function replace(delivery: Delivery): Promise<void> {
  const text = `If ${delivery.target} holds other bytes under the name ${delivery.object_name}, they are replaced and lost.`
  if (await ask({ title: 'Replace the object', text, yes: 'Replace it' })) await deliverAgain(delivery, 'overwrite')
}

async function deliverAgain(delivery: Delivery, ifExists: 'rename' | 'overwrite'): Promise<void> {
  await attempt(
    `Deliver ${delivery.object_name}`,
    async () => {
      const file = await data(api.GET('/files/{file_id}', { params: { path: { file_id: delivery.file_id } } }))
      await api.POST('/upload/{file_id}/finalize', {
        params: { path: { file_id: delivery.file_id }, header: { 'content-sha256': file.digests['sha-256'] ?? '' } },
        body: { target: delivery.target, object_name: delivery.object_name, if_exists: ifExists },
      })
    },
    `The delivery of ${delivery.object_name} is queued again.`,
  )
}
