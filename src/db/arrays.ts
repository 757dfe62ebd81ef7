/**
 * Types for arrays of text, uuid and numbers, the only ones that we use. Otherwise postgres.js would query all array types
 * on each new connection, and if that connection broke meanwhile, an unhandled rejection would end the process.
 */
export const arrayTypes = {
  textArray: { to: 1009, from: [1009], parse: parseArray, serialize: serializeArray },
  uuidArray: { to: 2951, from: [2951], parse: parseArray, serialize: serializeArray },
  numberArray: { to: 1022, from: [], parse: parseArray, serialize: (items: readonly number[]) => `{${items}}` },
}

/** PostgreSQL documentation, "Arrays", "Array Input and Output Syntax": one dimension, every element quoted. */
function serializeArray(items: readonly (string | null)[]): string {
  return `{${items.map(item => (item === null ? 'NULL' : `"${item.replace(/[\\"]/g, '\\$&')}"`)).join(',')}}`
}

/** One dimension, without NULL elements. */
function parseArray(text: string): string[] {
  const elements = text.slice(1, -1).matchAll(/"((?:[^"\\]|\\.)*)"|([^",]+)/gs)
  return [...elements].map(([, quoted, plain]) => plain ?? quoted!.replace(/\\(.)/gs, '$1'))
}
