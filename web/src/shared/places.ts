/** From where a file comes, and where it goes, in words. */
import type { Batch, File } from './api'

export function sourceOf(file: File): string {
  return file.file_path ?? 'upload'
}

/** The targets to which the file is delivered once it is stored; "" if there are none. */
export function destinations(file: File): string {
  const to = file.deliver_to
  if (!to) return ''
  return (Array.isArray(to) ? to : [to]).map((one) => one.target).join(', ')
}

/** What a batch sends: its first path, and how many more there are. */
export function batchName(batch: Batch): string {
  const [first, ...others] = batch.paths
  if (!first) return batch.base ? `a list of paths beneath ${batch.base}` : 'a list of paths'
  return others.length ? `${first} and ${others.length} more` : first
}
