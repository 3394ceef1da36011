/** One file with its deliveries and their histories, kept true by the events. */
import { api, data, type Delivery, type DeliveryDetail, type File, type FileDetail } from '../shared/api'
import { live, type Change } from '../shared/live.svelte'
import { Reading } from '../shared/reading.svelte'

const HISTORIES = 30 // deliveries whose history is read; who needs the others opens them

export class ShownFile {
  file = $state.raw<FileDetail | null>(null)
  deliveries = $state.raw<(Delivery & { history?: DeliveryDetail['history'] })[]>([])
  readonly reading = new Reading(() => this.#read())

  constructor(readonly id: string) {}

  /** Follows the events of the file and its deliveries; returns a function that ends this. */
  begin(): () => void {
    return live.follow((changes) => this.#take(changes))
  }

  async #read(): Promise<void> {
    const path = { file_id: this.id }
    const [file, { deliveries }] = await Promise.all([
      data(api.GET('/files/{file_id}', { params: { path } })),
      data(api.GET('/files/{file_id}/deliveries', { params: { path } })),
    ])
    const withHistory = await Promise.all(
      deliveries.map((one, index) => (index < deliveries.length - HISTORIES ? one : history(one))),
    )
    this.file = file
    this.deliveries = withHistory.reverse()
  }

  #take(changes: readonly Change[]): void {
    let news = false
    for (const { kind, record } of changes) {
      if (kind === 'file' && record.file_id === this.id) news = this.#takeFile(record) || news
      else if (kind === 'delivery' && record.file_id === this.id) news = this.#takeDelivery(record) || news
    }
    if (news) void this.reading.now()
  }

  /** Shows the figures at once. Returns whether the histories are to be read, because more than figures changed. */
  #takeFile(record: File): boolean {
    const before = this.file
    if (!before) return true
    this.file = { ...record, history: before.history }
    return mark(before) !== mark(record)
  }

  #takeDelivery(record: Delivery): boolean {
    const before = this.deliveries.find((one) => one.delivery_id === record.delivery_id)
    this.deliveries = this.deliveries.map((one) => (one === before ? { ...record, history: one.history } : one))
    return !before || mark(before) !== mark(record)
  }
}

function mark(record: File | Delivery): string {
  const { state, attempts, error, waiting, next_attempt_at: next } = record
  const lost = 'object_error' in record ? record.object_error?.code : ''
  return [state, attempts, error?.code, waiting?.code, next, lost].join()
}

async function history(delivery: Delivery): Promise<DeliveryDetail> {
  return data(api.GET('/deliveries/{delivery_id}', { params: { path: { delivery_id: delivery.delivery_id } } }))
}
