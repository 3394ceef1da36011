/** Stands for the package url-parse, which tus-js-client uses to resolve an address: the browser does it itself. */
export default URL
