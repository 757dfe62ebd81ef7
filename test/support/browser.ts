/** Chromium for tests: Debian's, headless, a new profile each time. Where it is not installed, such tests are skipped. */
import { existsSync } from 'node:fs'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'

/** The shell has no user interface to draw, and takes a third of the processor time. */
export const CHROMIUM = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'].find(path => existsSync(path))

/** For `test.skipIf`. */
export const noBrowser = CHROMIUM === undefined
if (noBrowser)
  console.warn('Skipping browser tests: there is no Chromium; on Debian: apt-get install chromium-headless-shell')

const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } }
export type Size = keyof typeof SIZES
export const EVERY_SIZE = Object.keys(SIZES) as Size[]

export interface Tab {
  page: Page
  /** Console errors (content-security-policy violations among them), exceptions, and assets that did not load. */
  complaints: string[]
  close(): Promise<void>
}

export interface TabOptions {
  size?: Size
  colorScheme?: 'light' | 'dark'
  javaScriptEnabled?: boolean
}

/** Hosts below `.example` are this machine. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    ...(CHROMIUM ? { executablePath: CHROMIUM } : {}),
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--host-resolver-rules=MAP *.example 127.0.0.1',
    ],
  })
}

/** One for all files of a test process, with which it ends. */
let browser: Promise<Browser> | undefined
const open = new Set<BrowserContext>()

/** Closes the tabs that a file has left open. */
export async function closeTabs(): Promise<void> {
  await Promise.all([...open].map(context => context.close()))
  open.clear()
}

/** One tab with its own profile: nothing is shared with other tabs. Certificates are not checked. */
export async function openTab({
  size = 'desktop',
  colorScheme = 'light',
  javaScriptEnabled = true,
}: TabOptions = {}): Promise<Tab> {
  browser ??= launchBrowser()
  const isPhone = size === 'phone'
  const context = await (await browser).newContext({
    ignoreHTTPSErrors: true,
    viewport: SIZES[size],
    hasTouch: isPhone,
    isMobile: isPhone,
    colorScheme,
    javaScriptEnabled,
  })
  open.add(context)
  const page = await context.newPage()
  page.setDefaultTimeout(60_000)
  const complaints: string[] = []
  page.on('console', message => {
    // A page that answers 400 to a typo is logged as failed to load; failing assets are detected below.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      complaints.push(message.text())
  })
  page.on('pageerror', error => complaints.push(error.message))
  page.on('response', response => {
    // A typo gets 400 or 429 when htmx submits the form, too.
    const isTypo = response.request().method() === 'POST' && [400, 429].includes(response.status())
    if (response.status() >= 400 && response.request().resourceType() !== 'document' && !isTypo)
      complaints.push(`${response.status()} ${response.url()}`)
  })
  return {
    page,
    complaints,
    async close() {
      open.delete(context)
      await context.close()
    },
  }
}

/** Waits until this is the page's main heading: a press of a button returns before its answer is there. */
export function shows(page: Page, heading: string | RegExp): Promise<void> {
  return page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor()
}

/** How many pixels the page is wider than its window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
}

/** The elements whose own text has less contrast with its background than WCAG 2.2 requires (1.4.3). */
export function faintTexts(page: Page): Promise<string[]> {
  return page.evaluate(`[...document.body.querySelectorAll('*')].flatMap(element => {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())
    if (!own || !element.checkVisibility()) return []
    const luminance = color => {
      const [r, g, b] = color.match(/[\\d.]+/g).map(part => part / 255).map(c => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
      return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    let behind = element
    while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement
    const [dark, light] = [luminance(getComputedStyle(element).color), luminance(getComputedStyle(behind).backgroundColor)].sort((a, b) => a - b)
    const contrast = (light + 0.05) / (dark + 0.05)
    return contrast < 4.5 ? [element.localName + '.' + element.className + ' ' + contrast.toFixed(2)] : []
  })`)
}
