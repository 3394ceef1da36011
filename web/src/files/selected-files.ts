/** What is done to many files at once: one question, then one request for each file. */
import { WORDS, fileAction } from '../shared/acting'
import { api, type File } from '../shared/api'
import { bytes, count, visible } from '../shared/format'
import { toEach } from '../shared/many.svelte'
import { ask } from '../shared/questions.svelte'
import type { Scope } from '../shared/session.svelte'
import { fileActions, type Action } from '../shared/states'

export type FileDeed = Action | 'delete'
export const DEEDS: readonly FileDeed[] = ['retry', 'pause', 'resume', 'cancel', 'delete']
const GONE = new Set(['DELETING', 'DELETED', 'EXPIRED'])
const STAYS = 'Objects that were delivered stay at their targets, and the records stay in the lists.'

export function scopeOf(deed: FileDeed): Scope {
  return deed === 'delete' ? 'delete' : 'prepare'
}

/** Returns those of the files to which this can be done in their states. */
export function possible(files: readonly File[], deed: FileDeed): File[] {
  return files.filter((file) => (deed === 'delete' ? !GONE.has(file.state) : fileActions(file).includes(deed)))
}

export function sizeOf(files: readonly File[]): number {
  return files.reduce((total, file) => total + (file.length ?? 0), 0)
}

/** Asks once, and does it to each. Returns false if the person did not agree. */
export async function doToFiles(deed: FileDeed, files: readonly File[]): Promise<boolean> {
  const title = `${WORDS[deed]} ${count(files.length, 'file')}`
  if (!(await ask({ title, text: consequences(deed, files), yes: title }))) return false
  const work = (file: File) => (deed === 'delete' ? deleteFile(file) : fileAction(file, deed))
  void toEach(title, files, { work, nameOf: (file) => visible(file.name), whole: files.length })
  return true
}

/** Asks, and deletes one file. Throws a Problem. Returns false if the person did not agree. */
export async function deleteOne(file: File): Promise<boolean> {
  const text = consequences('delete', [file])
  if (!(await ask({ title: `Delete ${visible(file.name)}`, text, yes: 'Delete it' }))) return false
  await deleteFile(file)
  return true
}

async function deleteFile(file: File): Promise<void> {
  await api.DELETE('/files/{file_id}', { params: { path: { file_id: file.file_id }, query: { cancel: true } } })
}

function consequences(deed: FileDeed, files: readonly File[]): string {
  const which = `${count(files.length, 'file')}, ${bytes(sizeOf(files))} together`
  if (deed === 'cancel') return `${which}: storing or uploading them is stopped for good. What is stored stays until it is deleted.`
  if (deed === 'delete') return `${which}: the stored bytes are deleted. What is still being stored or delivered of them is cancelled first. ${STAYS}`
  return `${which}.`
}
