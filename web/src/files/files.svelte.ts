/** The list of files as the page shows it. */
import { api, data, type File } from '../shared/api'
import { LiveList } from '../shared/live-list.svelte'
import type { PageOf } from '../shared/paged.svelte'

const PAGE = 200

/** Returns the list of what `asked` says at the time: the parameters of `GET /files`. */
export function filesBy(asked: () => URLSearchParams): LiveList<File> {
  return new LiveList(
    (file: File) => file.file_id,
    (cursor) => page(asked(), cursor),
    (file) => belongs(file, asked()),
    () => !['batch', 'order', 'name_prefix'].some((name) => asked().has(name)),
  )
}

async function page(asked: URLSearchParams, cursor: string | undefined): Promise<PageOf<File>> {
  const query = { ...Object.fromEntries(asked), state: asked.getAll('state') as File['state'][], limit: PAGE, cursor }
  const found = await data(api.GET('/files', { params: { query } }))
  return { items: found.files, next: found.next_cursor }
}

/** Whether the parameters let the file through. A record does not name the targets of its deliveries, so those count as no. */
function belongs(file: File, asked: URLSearchParams): boolean {
  const is = (name: string, value: string | null) => !asked.has(name) || asked.get(name) === value
  const [after, before] = ['created_after', 'created_before'].map((name) => asked.get(name))
  return (
    !asked.has('target') &&
    is('owner', file.owner) &&
    is('batch', file.batch_id) &&
    (!asked.has('state') || asked.getAll('state').includes(file.state)) &&
    file.name.startsWith(asked.get('name_prefix') ?? '') &&
    (!after || new Date(file.created_at) > new Date(after)) &&
    (!before || new Date(file.created_at) < new Date(before))
  )
}
