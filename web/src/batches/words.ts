/** The values of a batch's record in words. */
import type { Batch } from '../shared/api'
import { count } from '../shared/format'

const REASONS: Record<string, string> = {
  link: 'Symbolic links, which are not followed',
  link_outside: 'Links that lead out of the root',
  link_loop: 'Links that lead to a folder above themselves',
  link_broken: 'Links that lead to nothing',
  not_a_regular_file: 'Sockets, FIFOs and devices',
  source_unreadable: 'Files and folders that the server may not read',
  source_missing: 'Files that were not there',
  path_not_allowed: 'Paths that are not allowed',
  path_invalid: 'Paths that are not valid',
  source_too_large: 'Files that are too large',
  control_characters: 'Names with a line break or another control character',
  not_utf8: 'Names that are not UTF-8',
  path_too_long: 'Paths that are too long',
  too_deep: 'Folders beneath too many others',
  name_refused: 'Names that no object may have',
  empty_folder: 'Empty folders',
  not_beneath_base: 'Paths that do not lie beneath the base',
  no_match: 'Patterns that nothing matches',
  name_clash: 'Files whose name another file of the batch has',
  name_exists: 'Names at which something stands at a target',
  vanished: 'Files that were delivered earlier and are no longer there',
}

/** Returns why paths were skipped, as the heading of a number of them. */
export function reasonOf(code: string): string {
  return REASONS[code] ?? code
}

const CHANGED: Record<Batch['if_changed'], string> = {
  fail: 'the file fails',
  restart: 'the file starts over',
}

/** What was asked for beside the paths and the targets. */
export function choicesOf(batch: Batch): [name: string, value: string][] {
  const { include, exclude, hidden, links, empty_folders: empty } = batch.choice
  const choices: [string, string][] = [['If a source changes', CHANGED[batch.if_changed]]]
  if (include.length) choices.push(['Only', include.join(' ')])
  if (exclude.length) choices.push(['Without', exclude.join(' ')])
  if (!hidden) choices.push(['Hidden names', 'names that begin with a dot are left out'])
  if (links === 'follow') choices.push(['Symbolic links', 'are followed'])
  if (empty) choices.push(['Empty folders', 'are listed as skipped'])
  if (batch.excluded) choices.push(['Left out', `${count(batch.excluded, 'file or folder', 'files and folders')} by these patterns`])
  if (batch.update) choices.push(['Update', `only what is new or has changed; ${count(batch.unchanged, 'file was', 'files were')} delivered already`])
  return choices
}

export function total(groups: Record<string, { count: number }> | undefined): number {
  return Object.values(groups ?? {}).reduce((sum, group) => sum + group.count, 0)
}

export function failuresOf(batch: Batch): number {
  return Object.values(batch.counts?.failures ?? {}).reduce((sum, number) => sum + number, 0)
}
