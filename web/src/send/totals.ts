/** The figures of all uploads of this tab together. */
import type { Phase, Upload } from './upload'

export interface Totals {
  /** Uploads by phase. */
  phases: Readonly<Record<Phase, number>>
  /** How many still have to send bytes from this tab, paused ones left out. */
  leaving: number
  stored: number
  bytes: number
  sent: number
  durable: number
  /** Bytes that leave in a second; null: not known. */
  rate: number | null
}

const NONE: Record<Phase, number> = { waiting: 0, sending: 0, retrying: 0, paused: 0, checking: 0, stored: 0, failed: 0, cancelled: 0 }
export const NOTHING: Totals = { phases: NONE, leaving: 0, stored: 0, bytes: 0, sent: 0, durable: 0, rate: null }

export function totalsOf(uploads: readonly Upload[], speed: Speed): Totals {
  const phases = { ...NONE }
  let [bytes, sent, durable] = [0, 0, 0]
  for (const upload of uploads) {
    phases[upload.phase] += 1
    if (upload.phase === 'cancelled' || upload.phase === 'failed') continue
    bytes += upload.length
    sent += upload.sent
    durable += upload.stored
  }
  const leaving = phases.waiting + phases.sending + phases.retrying
  return { phases, leaving, stored: phases.stored, bytes, sent, durable, rate: leaving ? speed.at(sent) : null }
}

const WINDOW_MS = 5_000

/** The bytes a second over the last moments, so that the figure does not jump. */
export class Speed {
  #seen: [time: number, sent: number][] = []

  at(sent: number): number | null {
    const now = performance.now()
    this.#seen = this.#seen.filter(([time, before]) => now - time < WINDOW_MS && before <= sent)
    this.#seen.push([now, sent])
    const [time, before] = this.#seen[0]!
    return now - time < 500 || sent === before ? null : ((sent - before) * 1000) / (now - time)
  }
}
