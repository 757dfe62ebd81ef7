import { encode } from 'uqr'

/** A QR code as the path of an SVG: a rectangle for each run of dark modules. */
export function qrPath(text: string): { path: string; size: number } {
  const { data, size } = encode(text, { border: 2 })
  const runs = data.flatMap((row, y) =>
    [
      ...row
        .map(dark => (dark ? '1' : '0'))
        .join('')
        .matchAll(/1+/g),
    ].map(({ 0: { length }, index }) => `M${index} ${y}h${length}v1h-${length}z`),
  )
  return { path: runs.join(''), size }
}
