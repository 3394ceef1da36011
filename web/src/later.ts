/** The views that are not the first one. They are loaded together: apart they would repeat much of each other. */
export { default as AccountView } from './account/AccountView.svelte'
export { default as BatchesView } from './batches/BatchesView.svelte'
export { default as DeliveriesView } from './deliveries/DeliveriesView.svelte'
export { default as FilesView } from './files/FilesView.svelte'
export { default as SendView } from './send/SendView.svelte'
export { default as SystemView } from './system/SystemView.svelte'
export { default as TargetsView } from './targets/TargetsView.svelte'
