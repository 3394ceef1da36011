/** The day that it is: a page that is open over midnight writes the times of yesterday with their day from then on. */

const LOOK_MS = 60_000

export const today = $state({ now: new Date() })

setInterval(() => {
  const now = new Date()
  if (now.toDateString() !== today.now.toDateString()) today.now = now
}, LOOK_MS)
