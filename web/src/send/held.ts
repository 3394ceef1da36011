/** Tabs of one browser tell each other which uploads they send, so that two do not send the same one in turns. */

const letGo = new Map<string, () => void>()

/** Says that this tab sends the upload, until `release` or the end of the tab. Over plain http nobody is told. */
export function hold(fileId: string): void {
  if (letGo.has(fileId) || !navigator.locks) return
  letGo.set(fileId, () => undefined)
  void navigator.locks.request(nameOf(fileId), { ifAvailable: true }, (lock) => {
    if (lock && letGo.has(fileId)) return new Promise<void>((resolve) => letGo.set(fileId, resolve))
    return undefined
  })
}

export function release(fileId: string): void {
  letGo.get(fileId)?.()
  letGo.delete(fileId)
}

/** Whether another tab of this browser sends the upload. */
export async function isHeldElsewhere(fileId: string): Promise<boolean> {
  if (!navigator.locks || letGo.has(fileId)) return false
  const { held = [] } = await navigator.locks.query()
  return held.some((lock) => lock.name === nameOf(fileId))
}

function nameOf(fileId: string): string {
  return `gridhaul-upload-${fileId}`
}
