/** Which names a file may have in Gridhaul and at a target, so that a wrong one is refused before anything is sent. */

const NAME_MOST_BYTES = 1024
const PART_MOST_BYTES = 255
const KEPT = '.gridhaul-' // the server keeps such names for objects of its own
const CONTROL = /[\x00-\x1f\x7f]/
const encoder = new TextEncoder()

/** Returns why a file cannot have the name, as a sentence; null: it can. */
export function whyNotNamed(name: string): string | null {
  const length = lengthOf(name)
  if (length === 0) return 'The name is empty.'
  if (length > NAME_MOST_BYTES) return `The name with its folders has ${length} bytes; at most ${NAME_MOST_BYTES} are possible. Choose a folder further down, or rename it.`
  if (CONTROL.test(name)) return 'The name holds a line break or another control character. Rename the file, and choose it again.'
  return name.split('/').map(whyNotPart).find(Boolean) ?? null
}

function whyNotPart(part: string): string | null {
  const length = lengthOf(part)
  if (length === 0 || part === '.' || part === '..') return 'A part of the name is empty, “.” or “..”.'
  if (length > PART_MOST_BYTES) return `A part of the name has ${length} bytes; at most ${PART_MOST_BYTES} are possible. Rename the file or folder, and choose it again.`
  if (part.startsWith(KEPT)) return `Names that begin with ${KEPT} are kept for Gridhaul's own objects. Rename the file or folder, and choose it again.`
  return null
}

/** Puts the folder before the name, with one slash between. */
export function beneath(folder: string, name: string): string {
  const before = withoutOuterSlashes(folder)
  return before ? `${before}/${name}` : name
}

export function withoutOuterSlashes(folder: string): string {
  return folder.trim().replace(/^\/+|\/+$/g, '')
}

/** The length in UTF-8, which is what counts for the server and for file systems. */
function lengthOf(text: string): number {
  return encoder.encode(text).length
}
