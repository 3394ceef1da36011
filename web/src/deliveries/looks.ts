/** What a row and a page say of a delivery beside its state. */
import type { Delivery, Failure, File } from '../shared/api'
import { percent } from '../shared/format'
import type { Tone } from '../shared/states'

/** The sign of the state: a delivery whose object was found lost is not shown as good. */
export function toneOf(record: Delivery | File): Tone | undefined {
  return lossOf(record) ? 'bad' : record.waiting ? 'warn' : undefined
}

/** The code of what is wrong or awaited, or else how far the delivery is; "" if there is nothing to say. */
export function noteOf(delivery: Delivery): string {
  const failure = failureOf(delivery)
  if (failure) return failure.code
  return delivery.state === 'STREAMING' ? `${percent(delivery.sent_bytes, delivery.length)} %` : ''
}

/** The sentence that belongs to the code of the note. */
export function whyOf(delivery: Delivery): string | undefined {
  return failureOf(delivery)?.detail
}

/** What is wrong with the record, or what it waits for. */
export function failureOf(record: Delivery | File): Failure | null {
  return lossOf(record) ?? record.waiting ?? (record.state === 'FAILED' ? record.error : null)
}

function lossOf(record: Delivery | File): Failure | null {
  return 'object_error' in record ? record.object_error : null
}
