/** Colours as `#rrggbb`, and their contrast as WCAG 2.2 defines it. */

type Rgb = [red: number, green: number, blue: number]

const rgbOf = (colour: string) => [1, 3, 5].map(at => Number.parseInt(colour.slice(at, at + 2), 16)) as Rgb

/** Relative luminance, from 0 to 1. */
function luminance(colour: string): number {
  const [red, green, blue] = rgbOf(colour).map(part => {
    const share = part / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  }) as Rgb
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/** The contrast of two colours, from 1 to 21. */
export function contrast(one: string, other: string): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number]
  return (light + 0.05) / (dark + 0.05)
}

/** Mixes in white until the colour stands out from a dark one. @param least The contrast to reach. */
export function lightened(colour: string, dark: string, least: number): string {
  for (let white = 0; ; white += 0.05) {
    const mixed = `#${rgbOf(colour)
      .map(part =>
        Math.round(part + (255 - part) * Math.min(white, 1))
          .toString(16)
          .padStart(2, '0'),
      )
      .join('')}`
    if (white >= 1 || contrast(mixed, dark) >= least) return mixed
  }
}
