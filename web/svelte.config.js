import { vitePreprocess } from '@sveltejs/vite-plugin-svelte'

// The class that keeps a component's styles apart stands in every element of it, so it is short.
const cssHash = ({ hash, css }) => `s${hash(css).slice(0, 5)}`

export default { preprocess: vitePreprocess(), compilerOptions: { runes: true, cssHash } }
