/** A check of one file, from its start to its result. Checks have no events, so it is asked for every second. */
import { api, data, type Check } from '../shared/api'
import { announce } from '../shared/announcements.svelte'
import { bytes, count } from '../shared/format'
import { asProblem, type Problem } from '../shared/problem'
import { isOpen } from '../system/checks'

const ASK_MS = 1000

export class FileCheck {
  check = $state.raw<Check | null>(null)
  problem = $state.raw<Problem | null>(null)
  #timer: ReturnType<typeof setTimeout> | undefined
  #ended = false

  /** `over` is called when a check that was followed has ended. */
  constructor(
    private readonly fileId: string,
    private readonly over: () => void,
  ) {}

  get running(): boolean {
    return this.check !== null && isOpen(this.check)
  }

  async start(mode: 'report' | 'repair'): Promise<void> {
    this.problem = null
    try {
      this.#take(await data(api.POST('/checks', { body: { kind: 'fsck', id: this.fileId, mode, read_targets: false } })))
    } catch (error) {
      this.problem = asProblem(error)
    }
  }

  /** Shows a check that somebody has started, and follows it if it still runs. */
  async show(checkId: string): Promise<void> {
    try {
      const check = await data(api.GET('/checks/{check_id}', { params: { path: { check_id: checkId } } }))
      if (check.file_id === this.fileId) this.#take(check)
    } catch (error) {
      this.problem = asProblem(error)
    }
  }

  /** Asks no more. */
  end(): void {
    this.#ended = true
    clearTimeout(this.#timer)
  }

  #take(check: Check): void {
    const followed = this.running
    this.check = check
    if (this.#ended) return
    clearTimeout(this.#timer)
    if (this.running) this.#timer = setTimeout(() => void this.#ask(check.check_id), ASK_MS)
    else if (followed) {
      announce(resultWords(check))
      this.over()
    }
  }

  async #ask(checkId: string): Promise<void> {
    await this.show(checkId)
    // The check still runs even if the server did not answer just now.
    if (this.problem && this.running && !this.#ended) this.#timer = setTimeout(() => void this.#ask(checkId), ASK_MS)
    else this.problem = null
  }
}

const ENDS: Record<string, string> = { DONE: '', FAILED: 'The check failed. ', CANCELLED: 'The check was cancelled. ' }

/** What the check compared and found, as sentences. */
export function resultWords(check: Check): string {
  const { found, repaired } = check
  const compared = [`${bytes(check.checked_bytes)} of stored chunks`]
  if (check.checked_objects) compared.push(count(check.checked_objects, 'delivered object'))
  const seen = `${ENDS[check.state] ?? ''}Compared: ${compared.join(' and ')}.`
  const unread = check.unread_objects
  const byLength = unread ? ` Of ${unread === 1 ? 'one object' : `${unread} objects`} only the length was compared, because the target tells no digest.` : ''
  if (found === 0) return `${seen}${byLength} ${check.state === 'DONE' ? 'Nothing is wrong.' : 'Nothing wrong was found until then.'}`
  const is = (number: number) => `${count(number, 'thing')} ${number === 1 ? 'is' : 'are'}`
  if (check.mode !== 'repair') return `${seen}${byLength} ${is(found)} wrong.`
  return `${seen}${byLength} ${count(found, 'thing')} ${found === 1 ? 'was' : 'were'} wrong: ${repaired === found ? 'all is repaired' : `${repaired} repaired, ${found - repaired} not`}.`
}
