/** Reads lists of files page by page. */
import { api, data, type File } from '../shared/api'
import type { operations } from '../shared/api-types'
import type { ReadPage } from '../shared/paged.svelte'

type Parameters = NonNullable<operations['list_files_files_get']['parameters']['query']>

export function filesOf(parameters: Parameters, limit: number): ReadPage<File> {
  return async (cursor) => {
    const page = await data(api.GET('/files', { params: { query: { ...parameters, limit, cursor } } }))
    return { items: page.files, next: page.next_cursor }
  }
}
