/** Stands for the package js-base64, with which tus-js-client encodes metadata: the browser does it itself. */
export const Base64 = { encode: (text: string): string => btoa(String.fromCharCode(...new TextEncoder().encode(text))) }
