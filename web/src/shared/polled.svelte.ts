/** Something that the page reads again and again while it shows it, because no event tells of its changes. */
import { asProblem, type Problem } from './problem'

export class Polled<T> {
  value: T | null = $state.raw(null)
  /** Why the last reading failed; `value` is older then. */
  problem: Problem | null = $state.raw(null)
  #reading: Promise<void> | null = null

  /** `pause` gives the milliseconds to the next reading; null: the value does not change any more. */
  constructor(
    private readonly read: () => Promise<T>,
    private readonly pause: (value: T | null) => number | null,
  ) {}

  /** Begins to read; returns a function that ends it. A page that nobody sees reads nothing. */
  begin(): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined
    let ended = false
    const turn = async () => {
      if (!document.hidden) await this.now()
      const milliseconds = this.pause(this.value)
      if (!ended && milliseconds !== null) timer = setTimeout(turn, milliseconds)
    }
    const look = () => {
      if (!document.hidden) void this.now()
    }
    document.addEventListener('visibilitychange', look)
    void turn()
    return () => {
      ended = true
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', look)
    }
  }

  /** Reads now. Calls at the same time share one reading. */
  now(): Promise<void> {
    this.#reading ??= this.#read().finally(() => (this.#reading = null))
    return this.#reading
  }

  async #read(): Promise<void> {
    try {
      this.value = await this.read()
      this.problem = null
    } catch (error) {
      this.problem = asProblem(error)
    }
  }
}
