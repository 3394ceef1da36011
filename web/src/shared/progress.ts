/** How far a file or a delivery is, in figures and words. */
import type { Delivery, File } from './api'
import { bytes, percent, rate, timeLeft } from './format'

export interface Progress {
  done: number
  whole: number
  /** Such as "120 MiB of 300 MiB · 40 %". */
  words: string
  speed: string
  left: string
}

export function fileProgress(file: File): Progress {
  const whole = file.length ?? 0
  if (file.checked_bytes > 0 && file.stored_bytes >= whole)
    return progress(file.checked_bytes, whole, null, 'reading the source once more, because it was touched: ')
  return progress(file.stored_bytes, whole, file.rate, file.length === null ? 'length not known yet: ' : '')
}

/** At the end of a delivery all bytes are sent, and the object is checked at the target: that is said, not "100 %". */
export function deliveryProgress(delivery: Delivery): Progress {
  const { sent_bytes: sent, checked_bytes: checked, length } = delivery
  if (delivery.state === 'COMMITTING' || sent >= length) {
    if (checked > 0) return progress(checked, length, null, 'all is sent; reading it back to check it: ')
    return { ...progress(sent, length, null, ''), words: `all ${bytes(length)} are sent; checking at the target` }
  }
  return progress(sent, length, delivery.rate, '')
}

function progress(done: number, whole: number, speed: number | null, before: string): Progress {
  return {
    done,
    whole,
    words: whole ? `${before}${bytes(done)} of ${bytes(whole)} · ${percent(done, whole)} %` : `${before}${bytes(done)}`,
    speed: rate(speed),
    left: done < whole ? timeLeft(whole - done, speed) : '',
  }
}
