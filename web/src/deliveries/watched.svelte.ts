/** One delivery that is watched: as it is now, with its history. */
import { api, data, type Delivery, type DeliveryDetail } from '../shared/api'
import { live } from '../shared/live.svelte'
import { Reading } from '../shared/reading.svelte'

export class WatchedDelivery {
  record = $state.raw<DeliveryDetail | null>(null)
  readonly reading = new Reading(async () => {
    this.record = await data(api.GET('/deliveries/{delivery_id}', { params: { path: { delivery_id: this.id } } }))
  })

  constructor(private readonly id: string) {}

  /** Follows the events of the delivery; returns a function that ends this. */
  follow(): () => void {
    return live.follow((changes) => {
      for (const { kind, record } of changes) if (kind === 'delivery' && record.delivery_id === this.id) this.#take(record)
    })
  }

  /** Takes the record of an event. Events tell no history, so it is read again when something has happened. */
  #take(record: Delivery): void {
    const before = this.record
    if (before) this.record = { ...before, ...record }
    if (record.state !== before?.state || record.attempts !== before.attempts || record.error?.code !== before.error?.code) void this.reading.now()
  }
}
