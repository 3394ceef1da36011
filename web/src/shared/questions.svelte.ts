/** Asks the person before something is done that cannot be undone, or to many records at once. */

export interface Question {
  title: string
  text: string
  /** The words of the button that agrees: what it does, such as "Delete 12 files". */
  yes: string
}

export const question: { open: Question | null } = $state({ open: null })
let settle: ((agreed: boolean) => void) | null = null

/** Returns whether the person agrees. */
export function ask(asked: Question): Promise<boolean> {
  answer(false)
  question.open = asked
  return new Promise((resolve) => (settle = resolve))
}

export function answer(agreed: boolean): void {
  question.open = null
  settle?.(agreed)
  settle = null
}
