/** A check of one file, from its start to its result. */
import { api, data, type Check } from '../shared/api'
import { announce } from '../shared/announcements.svelte'
import { bytes, count } from '../shared/format'
import { Polled } from '../shared/polled.svelte'
import { asProblem, type Problem } from '../shared/problem'
import { isOpen } from '../system/checks'

const ASK_MS = 1000

export class FileCheck {
  #id: string | null = null
  #polled = new Polled(
    () => this.#read(),
    (check) => (check && isOpen(check) ? ASK_MS : null),
  )
  #refused = $state.raw<Problem | null>(null)

  /** `over` is called when a check that was followed has ended. */
  constructor(
    private readonly fileId: string,
    private readonly over: () => void,
  ) {}

  get check(): Check | null {
    return this.#polled.value
  }

  /** Why no check was started, or the check could not be read. */
  get problem(): Problem | null {
    return this.#refused ?? this.#polled.problem
  }

  get running(): boolean {
    return this.check !== null && isOpen(this.check)
  }

  /** Follows the check that is started or shown; returns a function that ends this. */
  begin(): () => void {
    return this.#polled.begin()
  }

  async start(mode: 'report' | 'repair'): Promise<void> {
    try {
      const started = await data(api.POST('/checks', { body: { kind: 'fsck', id: this.fileId, mode, read_targets: false } }))
      this.#refused = null
      this.#polled.value = started
      await this.show(started.check_id)
    } catch (error) {
      this.#refused = asProblem(error)
    }
  }

  /** Shows a check that somebody has started, and follows it if it still runs. */
  show(checkId: string): Promise<void> {
    this.#id = checkId
    return this.#polled.now()
  }

  async #read(): Promise<Check | null> {
    if (!this.#id) return null
    const check = await data(api.GET('/checks/{check_id}', { params: { path: { check_id: this.#id } } }))
    if (check.file_id !== this.fileId) return null
    if (this.running && !isOpen(check)) {
      announce(resultWords(check))
      this.over()
    }
    return check
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
