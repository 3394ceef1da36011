/** What becomes of a delivery whose name is taken at the target, in words. */
import type { Delivery } from './api'

export const POLICIES: Record<Delivery['if_exists'], string> = {
  fail: 'The delivery fails if other bytes have the name',
  rename: 'The object gets a free name if other bytes have its own',
  overwrite: 'The object replaces other bytes that have its name',
}
