/** What a delivery does if other bytes have its name at the target, in words. */
import type { Delivery } from './api'

export const POLICIES: Record<Delivery['if_exists'], string> = {
  fail: 'the delivery fails',
  rename: 'the object gets a free name',
  overwrite: 'the object replaces them',
}
