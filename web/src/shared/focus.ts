/** Where the focus goes when a person opens a view: to its heading, so that the keyboard and a screen reader begin there. */

// A page that the browser has just loaded is read from its top, as any other: its title, then the names of the views.
let navigated = false
addEventListener('hashchange', () => (navigated = true), { once: true })

/** For `{@attach focused}` on a heading with `tabindex="-1"`. */
export function focused(heading: HTMLElement): void {
  if (navigated) heading.focus({ preventScroll: true })
}
