/** The files of this computer that were chosen to be sent. Nothing of them leaves the computer before Send. */
import { count } from '../shared/format'
import { announce } from '../shared/announcements.svelte'
import { filesBeneath, localFile, type LocalFile, type Unreadable } from './folders'
import { whyNotNamed } from './names'

const SHOW_MS = 100 // the page shows new figures this often at most
const AT_A_TIME_MS = 12 // then the browser may draw, and hear what the person does

type Found = Iterable<{ files: LocalFile[]; unreadable: Unreadable[] }> | AsyncIterable<{ files: LocalFile[]; unreadable: Unreadable[] }>

class Chosen {
  files: LocalFile[] = $state.raw([])
  /** Files that cannot be sent, with the reason. */
  refused: Unreadable[] = $state.raw([])
  bytes = $state(0)
  largest: LocalFile | null = $state.raw(null)
  /** How many folders or choices are still being read. */
  reading = $state(0)
  #files = new Map<string, LocalFile>()
  #refused = new Map<string, Unreadable>()
  #bytes = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #stop = new AbortController()

  /** Takes files that the browser's dialog gave. Those of a folder have the folder in their path. */
  add(files: readonly File[]): Promise<void> {
    return this.#read(() => inSlices(files))
  }

  /** Reads what was dropped, completely, or until `clear`. */
  drop(entries: FileSystemEntry[]): Promise<void> {
    return this.#read((stopped) => filesBeneath(entries, stopped))
  }

  async #read(begin: (stopped: AbortSignal) => Found): Promise<void> {
    const stopped = this.#stop.signal
    this.reading += 1
    for await (const found of begin(stopped)) {
      if (stopped.aborted) return
      for (const file of found.files) this.#take(file)
      for (const one of found.unreadable) this.#refused.set(one.path, one)
      this.#showSoon()
    }
    if (stopped.aborted) return
    this.reading -= 1
    this.#show()
    announce(`${count(this.files.length, 'file')} chosen.`)
  }

  /** Stops reading, and forgets everything: half a folder is not what was meant. */
  clear(): void {
    this.#stop.abort()
    this.#stop = new AbortController()
    this.reading = 0
    this.#files.clear()
    this.#refused.clear()
    this.#bytes = 0
    this.#show()
  }

  remove(path: string): void {
    this.#bytes -= this.#files.get(path)?.length ?? 0
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
    this.#bytes += chosen.length - (this.#files.get(chosen.path)?.length ?? 0)
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
    this.largest = this.files.reduce<LocalFile | null>((most, one) => (most && most.length >= one.length ? most : one), null)
  }
}

/** Looks at files, as many at a time as the page has time for: the browser asks the disk for each. */
async function* inSlices(files: readonly File[]): AsyncGenerator<{ files: LocalFile[]; unreadable: Unreadable[] }> {
  let slice: LocalFile[] = []
  let begun = performance.now()
  for (const file of files) {
    slice.push(localFile(file, file.webkitRelativePath || file.name))
    if (performance.now() - begun < AT_A_TIME_MS) continue
    yield { files: slice, unreadable: [] }
    await new Promise((resolve) => setTimeout(resolve))
    slice = []
    begun = performance.now()
  }
  yield { files: slice, unreadable: [] }
}

export const chosen = new Chosen()
