// Files that the bundler embeds: text as its content, the others as a path that Bun.file() can open.
declare module '*.sql' {
  const text: string
  export default text
}
declare module '*.css' {
  const text: string
  export default text
}
declare module '*.svg' {
  const text: string
  export default text
}
declare module '*/page.js' {
  const text: string
  export default text
}
declare module '*/webauthn.js' {
  const text: string
  export default text
}
declare module '*/index.umd.min.js' {
  const text: string
  export default text
}
declare module '*/htmx.min.js' {
  const text: string
  export default text
}
declare module '*.wasm' {
  const path: string
  export default path
}
declare module '*.data' {
  const path: string
  export default path
}
declare module '*.tgz' {
  const path: string
  export default path
}
