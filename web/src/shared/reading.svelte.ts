/** A reading that can be asked for at any time: calls while it runs share one more, so that nothing newer is missed. */
import { asProblem, type Problem } from './problem'

export class Reading {
  /** Why the last reading failed; null: it did not. */
  problem: Problem | null = $state.raw(null)
  #running: Promise<void> | null = null
  #again = false

  constructor(private readonly once: () => Promise<unknown>) {}

  now(): Promise<void> {
    if (this.#running) this.#again = true
    this.#running ??= this.#run().finally(() => (this.#running = null))
    return this.#running
  }

  async #run(): Promise<void> {
    do {
      this.#again = false
      this.problem = await this.once().then(() => null, asProblem)
    } while (this.#again)
  }
}
