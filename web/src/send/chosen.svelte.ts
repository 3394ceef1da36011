/** The files of this computer that were chosen to be sent. Nothing of them leaves the computer before Send. */
import { count } from '../shared/format'
import { announce } from '../shared/announcements.svelte'
import { filesBeneath, type LocalFile, type Unreadable } from './folders'
import { whyNotNamed } from './names'

const SHOW_MS = 100 // the page shows new figures this often at most

class Chosen {
  files: LocalFile[] = $state.raw([])
  /** Files that cannot be sent, with the reason. */
  refused: Unreadable[] = $state.raw([])
  bytes = $state(0)
  largest: LocalFile | null = $state.raw(null)
  /** Whether a folder is still being read. */
  reading = $state(false)
  #files = new Map<string, LocalFile>()
  #refused = new Map<string, Unreadable>()
  #bytes = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #stop: AbortController | null = null

  /** Takes files that the browser's dialog gave. Those of a folder have the folder in their path. */
  add(files: Iterable<File>): void {
    for (const file of files) this.#take({ file, path: file.webkitRelativePath || file.name })
    this.#show()
  }

  /** Reads what was dropped, completely, or until `stop`. */
  async read(entries: FileSystemEntry[]): Promise<void> {
    this.#stop?.abort()
    const stop = (this.#stop = new AbortController())
    this.reading = true
    for await (const found of filesBeneath(entries, stop.signal)) {
      if (stop.signal.aborted) return
      for (const file of found.files) this.#take(file)
      for (const one of found.unreadable) this.#refused.set(one.path, one)
      this.#showSoon()
    }
    if (stop.signal.aborted) return
    this.reading = false
    this.#show()
    announce(`${count(this.files.length, 'file')} chosen.`)
  }

  /** Stops reading, and forgets everything: half a folder is not what was meant. */
  clear(): void {
    this.#stop?.abort()
    this.reading = false
    this.#files.clear()
    this.#refused.clear()
    this.#bytes = 0
    this.#show()
  }

  remove(path: string): void {
    this.#bytes -= this.#files.get(path)?.file.size ?? 0
    this.#files.delete(path)
    this.#refused.delete(path)
    this.#show()
  }

  #take(chosen: LocalFile): void {
    const why = whyNotNamed(chosen.path)
    if (why) {
      this.#refused.set(chosen.path, { path: chosen.path, why })
      return
    }
    this.#bytes += chosen.file.size - (this.#files.get(chosen.path)?.file.size ?? 0)
    this.#files.set(chosen.path, chosen)
  }

  #showSoon(): void {
    this.#timer ??= setTimeout(() => this.#show(), SHOW_MS)
  }

  #show(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.files = [...this.#files.values()]
    this.refused = [...this.#refused.values()]
    this.bytes = this.#bytes
    this.largest = this.files.reduce<LocalFile | null>((most, one) => (most && most.file.size >= one.file.size ? most : one), null)
  }
}

export const chosen = new Chosen()
