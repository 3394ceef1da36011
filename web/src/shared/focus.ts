/** Where the focus goes when a view opens: to its heading, so that the keyboard and a screen reader begin there. */

/** For `{@attach focused}` on a heading with `tabindex="-1"`. */
export function focused(heading: HTMLElement): void {
  heading.focus({ preventScroll: true })
}
