/** Lets the browser ask before the tab is closed or loaded again, but only while bytes leave it. */

export function askBeforeLeaving(leaving: boolean): void {
  if (leaving) addEventListener('beforeunload', ask)
  else removeEventListener('beforeunload', ask)
}

function ask(event: BeforeUnloadEvent): void {
  event.preventDefault()
}
