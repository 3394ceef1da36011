/** The digest of a file in the forms that people use elsewhere. */
import type { File } from '../shared/api'

/** The line that `sha256sum -c` takes. A name with a backslash is marked and escaped as `sha256sum` does it. */
export function sumLine(sha256: string, name: string): string {
  const escaped = name.replaceAll('\\', '\\\\')
  return `${escaped === name ? '' : '\\'}${sha256}  ${escaped}`
}

export function sha256(file: File): string {
  return file.digests['sha-256'] ?? ''
}
