/** The package's own modules for browsers are half as large as its bundle, which is translated for browsers of 2015. */
declare module 'tus-js-client/lib/browser/index.js' {
  export * from 'tus-js-client'
}
