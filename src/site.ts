/** What the operator calls this site (SITE_NAME, SITE_LOGO, SITE_ACCENT), and the static files of its pages. */
import { createHash } from 'node:crypto'
import { extname } from 'node:path'
import library from '../node_modules/@simplewebauthn/browser/dist/bundle/index.umd.min.js' with { type: 'text' }
import htmx from '../node_modules/htmx.org/dist/htmx.min.js' with { type: 'text' }
import icon from '../views/icon.svg' with { type: 'text' }
import type { Site } from '../views/layout.tsx'
import script from '../views/page.js' with { type: 'text' }
import style from '../views/style.css' with { type: 'text' }
import webauthn from '../views/webauthn.js' with { type: 'text' }
import type { Config } from './config.ts'
import { LOGO_TYPES } from './config-values.ts'
import { lightened } from './lib/colours.ts'

export interface SiteFile {
  bytes: Uint8Array
  type: string
  /** A part of its address, so that browsers may keep it for ever. */
  hash: string
}

/** The name and addresses for the pages, and the files behind these addresses, by name: `style.css`. */
export interface OwnSite extends Site {
  files: ReadonlyMap<string, SiteFile>
}

/** The default accent, as in style.css and icon.svg. */
const ACCENT = '#2457d6'
/** The lightest background of text in the dark theme. */
const DARK_CARD = '#1d2027'

/** @param config Its logo has been checked. */
export function openSite(config: Config, readFile: (path: string) => Uint8Array): OwnSite {
  const { SITE_LOGO } = config
  const accent = `#${config.SITE_ACCENT}`
  const files = new Map<string, SiteFile>()
  const add = (name: string, content: string | Uint8Array, type: string): string => {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
    const hash = createHash('sha256').update(bytes).digest('base64url').slice(0, 10)
    files.set(name, { bytes, type, hash })
    return `/assets/${name.replace('.', `.${hash}.`)}`
  }
  const iconUrl = add('icon.svg', icon.replaceAll(ACCENT, accent), 'image/svg+xml')
  return {
    name: config.SITE_NAME ?? new URL(config.BASE_URL).host,
    icon: iconUrl,
    logo: SITE_LOGO === undefined ? iconUrl : add(...readLogo(SITE_LOGO, readFile)),
    style: add('style.css', accent === ACCENT ? style : style + accentRules(accent), 'text/css; charset=utf-8'),
    script: add('page.js', script, 'text/javascript; charset=utf-8'),
    passkeys: add('webauthn.js', `${library}\n${webauthn}`, 'text/javascript; charset=utf-8'),
    htmx: add('htmx.js', htmx, 'text/javascript; charset=utf-8'),
    files,
  }
}

function readLogo(
  path: string,
  readFile: (path: string) => Uint8Array,
): [name: string, bytes: Uint8Array, type: string] {
  const extension = extname(path).toLowerCase()
  return [`logo${extension}`, readFile(path), LOGO_TYPES[extension]!]
}

/** The configuration has checked the contrast in the light theme; the dark one needs a lighter colour. */
function accentRules(accent: string): string {
  const dark = lightened(accent, DARK_CARD, 6)
  return `:root{--accent:${accent}}@media(prefers-color-scheme:dark){:root{--accent:${dark}}}`
}
