/** Reads the list of deliveries page by page. */
import { api, data, type Delivery } from '../shared/api'
import type { ReadPage } from '../shared/paged.svelte'
import type { Parameters } from './filters'

export function deliveriesBy(parameters: Parameters, limit: number): ReadPage<Delivery> {
  return async (cursor) => {
    const page = await data(api.GET('/deliveries', { params: { query: { ...parameters, limit, cursor } } }))
    return { items: page.deliveries, next: page.next_cursor }
  }
}
