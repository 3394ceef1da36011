/** Something that the page reads again and again while it shows it, because no event tells of its changes. */
import { asProblem, type Problem } from './problem'

export class Polled<T> {
  value: T | null = $state.raw(null)
  /** Why the last reading failed; `value` is older then. */
  problem: Problem | null = $state.raw(null)
  #reading: Promise<void> | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #begun = false
  #turn = 0 // what was begun before the latest `begin` counts no more

  /** `pause` gives the milliseconds to the next reading; null: the value does not change any more. */
  constructor(
    private readonly read: () => Promise<T>,
    private readonly pause: (value: T | null) => number | null,
  ) {}

  /** Begins to read, anew if it had begun; returns a function that ends it. A page that nobody sees reads nothing. */
  begin(): () => void {
    this.#begun = true
    this.#turn += 1
    this.#reading = null
    this.value = null
    const look = () => this.#look()
    document.addEventListener('visibilitychange', look)
    look()
    return () => {
      this.#begun = false
      this.#turn += 1
      clearTimeout(this.#timer)
      document.removeEventListener('visibilitychange', look)
    }
  }

  /** Reads now; after a reading that runs already, because that one may have begun before what the caller has changed. */
  now(): Promise<void> {
    const turn = this.#turn
    const begun = this.#reading ? this.#reading.then(() => this.#read(turn)) : this.#read(turn)
    const reading = begun.finally(() => {
      if (this.#reading === reading) this.#reading = null
    })
    this.#reading = reading
    return reading
  }

  #look(): void {
    if (!document.hidden && !this.#reading) void this.now()
  }

  async #read(turn: number): Promise<void> {
    if (turn !== this.#turn) return
    clearTimeout(this.#timer)
    let value: T | null = null
    let problem: Problem | null = null
    try {
      value = await this.read()
    } catch (error) {
      problem = asProblem(error)
    }
    if (turn !== this.#turn) return
    this.value = value ?? this.value
    this.problem = problem
    const milliseconds = this.pause(this.value)
    // An action that ends after its view was left also reads: that one begins no further readings.
    if (milliseconds !== null && this.#begun) this.#timer = setTimeout(() => this.#look(), milliseconds)
  }
}
