/** Words for screen readers: said once, and progress only once in a while. */

const PROGRESS_MS = 15_000
let lastProgress = 0

export const announced = $state({ text: '' })

/** Says a text: that something began, ended or failed. */
export function announce(text: string): void {
  announced.text = text
}

/** Says how far something is, at most every 15 s. */
export function announceProgress(text: string): void {
  if (Date.now() - lastProgress < PROGRESS_MS) return
  lastProgress = Date.now()
  announced.text = text
}
