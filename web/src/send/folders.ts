/** Reads the files of folders that were dropped, in the batches in which the browser gives them. */

export interface LocalFile {
  file: File
  /** With the folders from the one that was chosen on: `run42/raw/a.h5`. */
  path: string
  /** Bytes, and the time of the last change in ms. They are read once, because a browser asks the disk each time. */
  length: number
  modified: number
}
export function localFile(file: File, path: string): LocalFile {
  return { file, path, length: file.size, modified: file.lastModified }
}

export interface Unreadable {
  path: string
  why: string
}
type Found = { files: LocalFile[]; unreadable: Unreadable[] }

/** Returns what was dropped. It must be called in the event itself: afterwards the browser has forgotten it. */
export function entriesOf(items: DataTransferItemList): FileSystemEntry[] {
  return [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null)
}

/** Yields everything beneath the entries, until `stopped`. The browser reads a folder a hundred names at a time. */
export async function* filesBeneath(entries: FileSystemEntry[], stopped: AbortSignal): AsyncGenerator<Found> {
  const open = [entries]
  while (!stopped.aborted) {
    const batch = open.pop()
    if (!batch) return
    yield await opened(batch.filter((entry): entry is FileSystemFileEntry => entry.isFile))
    for (const folder of batch.filter((entry): entry is FileSystemDirectoryEntry => entry.isDirectory)) {
      const reader = folder.createReader()
      for (;;) {
        const read = await nextEntries(reader).catch((error: unknown) => unreadable(folder, error))
        if (!Array.isArray(read)) yield { files: [], unreadable: [read] }
        if (!Array.isArray(read) || read.length === 0 || stopped.aborted) break
        yield await opened(read.filter((entry): entry is FileSystemFileEntry => entry.isFile))
        const folders = read.filter((entry) => entry.isDirectory)
        if (folders.length) open.push(folders)
      }
    }
  }
}

async function opened(entries: FileSystemFileEntry[]): Promise<Found> {
  const found: Found = { files: [], unreadable: [] }
  const reading = entries.map((entry) =>
    new Promise<File>((resolve, reject) => entry.file(resolve, reject)).then(
      (file) => void found.files.push(localFile(file, pathOf(entry))),
      (error: unknown) => void found.unreadable.push(unreadable(entry, error)),
    ),
  )
  await Promise.all(reading)
  return found
}

function nextEntries(reader: FileSystemDirectoryReader): Promise<FileSystemEntry[]> {
  return new Promise((resolve, reject) => reader.readEntries(resolve, reject))
}

function pathOf(entry: FileSystemEntry): string {
  return entry.fullPath.replace(/^\/+/, '')
}

function unreadable(entry: FileSystemEntry, error: unknown): Unreadable {
  const said = error instanceof Error || error instanceof DOMException ? error.message : String(error)
  return { path: pathOf(entry), why: `The browser could not read it: ${said}` }
}
