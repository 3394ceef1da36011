import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

// `npm run dev` serves the page from its source, and passes requests of the api on to a running `make up`.
const API = process.env.GRIDHAUL_URL ?? 'http://127.0.0.1:8000'
const PATHS = '^/(account|auth|batches|checks|counts|deliveries|docs|events|files|keys|lists|openapi|readyz|roots|store|targets|upload|workers)'

export default defineConfig({
  base: './', // the api may stand below a path of a proxy
  plugins: [svelte()],
  build: {
    outDir: process.env.GRIDHAUL_WEB_OUT ?? 'dist',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0, // the Content-Security-Policy allows no data: addresses
    modulePreload: { polyfill: false },
  },
  worker: { format: 'es' },
  server: { proxy: { [PATHS]: { target: API } } },
})
