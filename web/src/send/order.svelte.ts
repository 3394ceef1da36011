/** What the form beneath the three ways says: where the files go, and which of them are taken. */
import type { components } from '../shared/api-types'
import type { LocalFile } from './folders'
import { beneath, withoutOuterSlashes } from './names'

type Schemas = components['schemas']
export type BatchBody = Schemas['BatchBody']
type PrepareBody = Schemas['PrepareBody']
type IfExists = Schemas['IfExists']

class Order {
  /** The target's name; "": the files are only stored. */
  target = $state('')
  /** Of one file: the name in Gridhaul and at the target; "": its own. */
  name = $state('')
  /** Of several files: the folder at the target. */
  folder = $state('')
  ifExists: IfExists = $state('fail')
  restart = $state(false)
  update = $state(false)
  hidden = $state(true)
  followLinks = $state(false)
  /** Whether the names begin with what is in a chosen folder, and not with the folder itself. */
  inside = $state(false)
  include = $state('')
  exclude = $state('')

  /** The body that stores one file of the server. */
  prepareBody(path: string): PrepareBody {
    const body: PrepareBody = { file_path: path, if_changed: this.#ifChanged }
    if (this.name.trim()) body.name = this.name.trim()
    if (this.target) body.deliver_to = { target: this.target, if_exists: this.ifExists }
    return body
  }

  /** The body of a batch. A manifest names every file, so that patterns and hidden names make no difference. */
  batchBody(source: Pick<BatchBody, 'paths' | 'list_id' | 'base'>, { manifest, dryRun }: { manifest: boolean; dryRun: boolean }): BatchBody {
    const all = { include: [], exclude: [], hidden: true }
    const choice = manifest ? all : { include: lines(this.include), exclude: lines(this.exclude), hidden: this.hidden }
    return {
      ...source,
      ...choice,
      empty_folders: false,
      links: this.followLinks ? 'follow' : 'skip',
      if_changed: this.#ifChanged,
      update: this.update && this.target !== '',
      dry_run: dryRun,
      deliver_to: this.target ? { target: this.target, if_exists: this.ifExists, prefix: withoutOuterSlashes(this.folder) || null } : null,
    }
  }

  /** What an upload tells of itself. `localpath` lets a file that is chosen again be compared, when it goes on. */
  metadata({ path, modified }: LocalFile, { alone }: { alone: boolean }): Record<string, string> {
    const name = (alone && this.name.trim()) || path
    const said: Record<string, string> = { filename: name, lastmodified: String(modified) }
    if (name !== path) said.localpath = path
    if (!this.target) return said
    return { ...said, target: this.target, object_name: alone ? name : beneath(this.folder, path), if_exists: this.ifExists }
  }

  get #ifChanged(): 'fail' | 'restart' {
    return this.restart ? 'restart' : 'fail'
  }
}

function lines(text: string): string[] {
  return text.split('\n').map((line) => line.trim()).filter(Boolean)
}

export const order = new Order()
