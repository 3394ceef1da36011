import { svelte } from '@sveltejs/vite-plugin-svelte'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { defineConfig, type Plugin } from 'vite'

// `npm run dev` serves the page from its source, and passes requests of the api on to a running `make up`.
const API = process.env.GRIDHAUL_URL ?? 'http://127.0.0.1:8000'
const PATHS = '^/(account|auth|batches|checks|counts|deliveries|docs|events|files|keys|lists|openapi|readyz|roots|store|targets|upload|workers)'

/** Writes `.br` and `.gz` beside each text, so that the api compresses nothing while it serves. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    writeBundle({ dir }) {
      for (const entry of readdirSync(dir!, { recursive: true, encoding: 'utf8' })) {
        if (!/\.(css|html|js|svg)$/.test(entry)) continue
        const text = readFileSync(join(dir!, entry))
        writeFileSync(join(dir!, `${entry}.br`), brotliCompressSync(text))
        writeFileSync(join(dir!, `${entry}.gz`), gzipSync(text, { level: 9 }))
      }
    },
  }
}

function source(path: string): string {
  return fileURLToPath(new URL(`src/${path}`, import.meta.url))
}

export default defineConfig({
  base: './', // the api may stand below a path of a proxy
  plugins: [svelte(), compressed()],
  resolve: { alias: { 'url-parse': source('send/native-url.ts'), 'js-base64': source('send/native-base64.ts') } },
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
