/** The histories of a file and its deliveries as one list of sentences, in the order of their times. */
import type { Delivery, DeliveryDetail, Failure, FileDetail } from '../shared/api'
import type { Tone } from '../shared/states'
import { meaningOf } from './codes'

type Event = FileDetail['history'][number]
export interface Entry {
  key: string
  time: string
  /** Whose event it is: "File", or "To <target>". */
  subject: string
  tone: Tone
  text: string
  code: string | null
  /** The whole sentence of the error, where the record still has it. */
  detail: string | null
}

const TONES: Record<string, Tone> = { STORED: 'good', DELIVERED: 'good', FAILED: 'bad', PAUSED: 'warn', STORING: 'moving', STREAMING: 'moving', COMMITTING: 'moving', RECEIVING: 'moving' }
const ENTERED: Record<string, string> = {
  RECEIVING: 'The upload begins',
  REGISTERED: 'Registered',
  STORING: 'A worker begins to store it',
  STORED: 'Stored, and sealed: from here on no byte can change',
  QUEUED: 'Waits for a worker',
  STREAMING: 'A worker begins to send it',
  COMMITTING: 'All bytes are sent; the object is checked and gets its name',
  DELIVERED: 'Delivered',
  PAUSED: 'Paused',
  FAILED: 'Failed',
  CANCELLED: 'Cancelled',
  EXPIRED: 'Expired: nobody continued the upload in time',
  DELETING: 'Is being deleted',
  DELETED: 'Deleted: its bytes are gone, and this record stays',
}

export function fileEntries(file: FileDetail): Entry[] {
  return entries(file.history, 'File', file.file_id, [file.error, file.waiting])
}

export function deliveryEntries(delivery: Delivery & { history?: DeliveryDetail['history'] }): Entry[] {
  const known = [delivery.error, delivery.waiting, delivery.object_error, delivery.cleaning_error]
  return entries(delivery.history ?? [], `To ${delivery.target}`, delivery.delivery_id, known)
}

export function byTime(all: Entry[]): Entry[] {
  return all.toSorted((a, b) => a.time.localeCompare(b.time))
}

function entries(history: readonly Event[], subject: string, id: string, known: (Failure | null)[]): Entry[] {
  return history.map((event, index) => {
    const last = !history.slice(index + 1).some((later) => later.code === event.code)
    const detail = (last && known.find((failure) => failure && failure.code === event.code)?.detail) || null
    const before = history[index - 1]
    const tone = event.code && event.state !== 'FAILED' ? 'warn' : (TONES[event.state] ?? 'rest')
    return { key: `${id} ${event.revision}`, time: event.time, subject, tone, text: sentence(event, before), code: event.code, detail }
  })
}

function sentence(event: Event, before: Event | undefined): string {
  const by = event.who ? ` by ${event.who}` : ''
  if (event.code && event.state === 'FAILED') return `Failed in attempt ${event.attempt}: ${meaningOf(event.code)}`
  if (event.code && (event.state === 'DELIVERED' || before?.state === event.state)) return inPlace(event, event.code)
  if (event.code) return `Attempt ${event.attempt} ended: ${meaningOf(event.code)}`
  if (event.who && before?.state === event.state) return `${event.who} asked to try it at once`
  if (event.who && before && ['REGISTERED', 'QUEUED'].includes(event.state))
    return before.state === 'PAUSED' ? `Resumed by ${event.who}` : `${event.who} asked to try it again`
  if (before && before.state === event.state && before.attempt === event.attempt) return 'What was wrong is mended'
  return `${ENTERED[event.state] ?? event.state}${attempt(event)}${by}`
}

/** An error without a change of the state: an attempt ended and another one follows, or a check found something. */
function inPlace(event: Event, code: string): string {
  if (['DELIVERED', 'CANCELLED', 'DELETED'].includes(event.state)) return `A check or a cleaning found: ${meaningOf(code)}`
  return `Attempt ${event.attempt} ended: ${meaningOf(code)}`
}

function attempt(event: Event): string {
  return event.attempt > 1 && ['STORING', 'STREAMING'].includes(event.state) ? ` (attempt ${event.attempt})` : ''
}
