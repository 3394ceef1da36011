/** What a row and a page say of a delivery beside its state. */
import type { Delivery, Failure } from '../shared/api'
import { percent } from '../shared/format'
import type { Tone } from '../shared/states'

/** The sign of the state: a delivery whose object was found lost is not shown as good. */
export function toneOf(delivery: Delivery): Tone | undefined {
  return delivery.object_error ? 'bad' : delivery.waiting ? 'warn' : undefined
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

export function failureOf(delivery: Delivery): Failure | null {
  return delivery.object_error ?? delivery.waiting ?? (delivery.state === 'FAILED' ? delivery.error : null)
}
