/** The histories of a file and its deliveries as one list of sentences, in the order of their times. */
import type { Delivery, DeliveryDetail, Failure, FileDetail } from '../shared/api'
import { meaningOf } from '../shared/codes'
import { count, localTime, visible } from '../shared/format'
import type { Tone } from '../shared/states'

type Event = FileDetail['history'][number]
type DeliveryWithHistory = Delivery & { history?: DeliveryDetail['history'] }
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
const WORKING: ReadonlySet<string> = new Set(['STORING', 'STREAMING'])
const WORTH_A_WORD_MS = 2000 // an attempt that lasted so long says when it began
const OVER: ReadonlySet<string> = new Set(['DELIVERED', 'CANCELLED', 'DELETED'])

export function timeline(file: FileDetail | null, deliveries: readonly DeliveryWithHistory[]): Entry[] {
  const toEach = deliveries.flatMap((delivery) => {
    const alone = deliveries.filter((other) => other.target === delivery.target).length === 1
    const known = [delivery.error, delivery.waiting, delivery.object_error, delivery.cleaning_error]
    const subject = `To ${delivery.target}${alone ? '' : ` as ${visible(delivery.object_name)}`}`
    return entries(delivery.history ?? [], subject, { id: delivery.delivery_id, known })
  })
  const own = file ? entries(file.history, 'File', { id: file.file_id, known: [file.error, file.waiting] }) : []
  return [...own, ...toEach].toSorted((a, b) => Date.parse(a.time) - Date.parse(b.time))
}

function entries(history: readonly Event[], subject: string, { id, known }: { id: string; known: (Failure | null)[] }): Entry[] {
  return history.flatMap((event, index) => {
    const [before, after] = [history[index - 1], history[index + 1]]
    if (after && beginsWhatEnds(event, after)) return [] // the end of the attempt says when it began
    const entry = { key: `${id} ${event.revision}`, time: event.time, subject, code: event.code }
    const last = !history.slice(index + 1).some((later) => later.code === event.code)
    const detail = (last && known.find((failure) => failure && failure.code === event.code)?.detail) || null
    const tone = event.code && event.state !== 'FAILED' ? 'warn' : (TONES[event.state] ?? 'rest')
    const gap = before ? event.revision - before.revision - 1 : 0
    const left: Entry[] = gap ? [{ ...entry, key: `${entry.key} gap`, tone: 'rest', code: null, detail: null, text: `${count(gap, 'event')} before this ${gap === 1 ? 'is' : 'are'} not kept` }] : []
    return [...left, { ...entry, tone, text: sentence(event, before), detail }]
  })
}

/** Whether a worker began with the one, and the other is the end of the same attempt by an error. */
function beginsWhatEnds(event: Event, after: Event): boolean {
  return WORKING.has(event.state) && event.code === null && after.code !== null && after.attempt === event.attempt
}

function sentence(event: Event, before: Event | undefined): string {
  const same = before?.state === event.state
  if (event.code && OVER.has(event.state)) return `Something is wrong since then: ${meaningOf(event.code)}`
  if (event.code) return ended(event, event.code, before)
  if (event.who && same) return `${event.who} asked to try it at once`
  if (event.who && before && ['REGISTERED', 'QUEUED', 'STORING'].includes(event.state))
    return before.state === 'PAUSED' ? `Resumed by ${event.who}` : `${event.who} asked to try it again`
  if (same && before.attempt === event.attempt) return 'What was wrong is mended'
  const attempt = event.attempt > 1 && WORKING.has(event.state) ? ` (attempt ${event.attempt})` : ''
  return `${ENTERED[event.state] ?? event.state}${attempt}${event.who ? ` by ${event.who}` : ''}`
}

function ended(event: Event, code: string, before: Event | undefined): string {
  const begin = before && beginsWhatEnds(before, event) ? new Date(before.time) : null
  const lasted = begin && new Date(event.time).valueOf() - begin.valueOf() >= WORTH_A_WORD_MS
  const begun = lasted ? `, begun ${localTime(begin)},` : ''
  const how = event.state === 'FAILED' ? 'failed' : 'ended'
  return `${event.attempt ? `Attempt ${event.attempt}${begun} ${how}` : 'It failed'}: ${meaningOf(code)}`
}
