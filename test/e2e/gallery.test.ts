import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { gzipSync } from 'node:zlib'
import axe from 'axe-core'
import type { Page } from 'playwright-core'
import { TEXTS } from '../../views/texts/index.ts'
import { closeTabs, EVERY_SIZE, faintTexts, noBrowser, openTab, overflow } from '../support/browser.ts'
import { gallery, PAGES } from '../support/gallery.tsx'

setDefaultTimeout(300_000)

const app = gallery()
let base: string

beforeAll(async () => {
  if (noBrowser) return
  app.listen({ hostname: '127.0.0.1', port: 0 })
  base = `http://127.0.0.1:${app.server!.port}`
})
afterAll(async () => {
  await closeTabs()
  await app.server?.stop(true)
})

/** Buttons, and fields of codes, that reach beyond the window, or whose text reaches beyond them. */
function cutButtons(page: Page): Promise<string[]> {
  return page.evaluate(`[...document.querySelectorAll('button, a.button, input.code')].filter(button => {
    if (!button.checkVisibility()) return false
    const { left, right } = button.getBoundingClientRect()
    return left < 0 || right > innerWidth || button.scrollWidth > button.clientWidth + 1
  }).map(button => button.textContent)`)
}

/** Words of the heading that are broken into two lines; parts of addresses are short. */
function brokenWords(page: Page): Promise<string[]> {
  return page.evaluate(`[...document.querySelectorAll('h1')].flatMap(({ firstChild: text }) =>
    [...text.data.matchAll(/\\p{Script=Latin}{8,}/gu)].filter(({ 0: word, index }) => {
      const range = document.createRange()
      range.setStart(text, index)
      range.setEnd(text, index + word.length)
      return range.getClientRects().length > 1
    }).map(([word]) => word))`)
}

const IN_EVERY_LANGUAGE = [
  ...['device-decision', 'device-wrong', 'consent', 'sign-in-providers'],
  ...['account', 'account-servers', 'tokens', 'passkeys', 'sessions', 'data', 'server-link', 'home', 'error'],
]

const LOOKS = EVERY_SIZE.flatMap(size => (['light', 'dark'] as const).map(colorScheme => ({ size, colorScheme })))

/** What is wrong with a page in the window that it is shown in; it is loaded once, and looked at in both colours. */
async function faultsOf(page: Page) {
  const faint: string[] = []
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    faint.push(...(await faintTexts(page)))
  }
  return { overflow: await overflow(page), faint }
}

describe('every page in every state', () => {
  test.skipIf(noBrowser)(
    'on a desktop: fits, is readable in light and dark (WCAG 2.2 1.4.3), the console stays empty, axe-core finds nothing, and nothing comes from elsewhere',
    async () => {
      const { page, complaints, close } = await openTab()
      const foreign: string[] = []
      page.on('request', request => {
        if (!request.url().startsWith(`${base}/`)) foreign.push(request.url())
      })
      for (const name of Object.keys(PAGES)) {
        await page.emulateMedia({ colorScheme: 'light' })
        await page.goto(`${base}/gallery/${name}`)
        const faults = await faultsOf(page)
        await page.emulateMedia({ colorScheme: 'light' })
        await page.evaluate(`document.querySelectorAll('details').forEach(element => { element.open = true })`)
        await page.evaluate(axe.source)
        const found = await page.evaluate(`axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
          violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html).join(' ')))`)
        expect({ name, ...faults, complaints, found, foreign }).toEqual({
          ...{ name, overflow: 0, faint: [], complaints: [] },
          ...{ found: [], foreign: [] },
        })
      }
      await close()
    },
  )

  test.skipIf(noBrowser)(
    'on a phone: fits, is readable in light and dark, and the console stays empty; at 320 pixels nothing scrolls sideways, not even when text is twice as large, and no button leaves the screen (WCAG 2.2 1.4.4, 1.4.10)',
    async () => {
      const { page, complaints, close } = await openTab({ size: 'phone' })
      const phone = page.viewportSize()!
      for (const name of Object.keys(PAGES)) {
        await page.setViewportSize(phone)
        await page.goto(`${base}/gallery/${name}`)
        const faults = await faultsOf(page)
        await page.setViewportSize({ width: 320, height: 568 })
        const narrow = await overflow(page)
        await page.evaluate(`document.documentElement.style.fontSize = '200%'`)
        const large = await overflow(page)
        expect({ name, ...faults, complaints, narrow, large, cut: await cutButtons(page) }).toEqual({
          ...{ name, overflow: 0, faint: [], complaints: [] },
          ...{ narrow: 0, large: 0, cut: [] },
        })
      }
      await close()
    },
  )

  test.skipIf(noBrowser)(
    'fits into 320 pixels in every language, also without JavaScript, and text twice as large breaks no heading inside a word',
    async () => {
      const { page, close } = await openTab({ size: 'phone', javaScriptEnabled: false })
      await page.setViewportSize({ width: 320, height: 568 })
      for (const language of Object.keys(TEXTS))
        for (const name of IN_EVERY_LANGUAGE) {
          await page.goto(`${base}/gallery/${name}?lang=${language}`)
          expect([name, await page.locator('html').getAttribute('lang')]).toEqual([name, language])
          await page.evaluate(`document.querySelectorAll('details').forEach(element => { element.open = true })`)
          expect([language, name, await overflow(page), await cutButtons(page)]).toEqual([language, name, 0, []])
          await page.evaluate(`document.documentElement.style.fontSize = '200%'`)
          expect([language, name, await brokenWords(page)]).toEqual([language, name, []])
        }
      await close()
    },
  )

  test('loads at most 40 KB, compressed', async () => {
    const sizes = new Map<string, number>()
    const sizeOf = async (path: string) => {
      const known =
        sizes.get(path) ?? gzipSync(await (await app.handle(new Request(`http://localhost${path}`))).bytes()).length
      sizes.set(path, known)
      return known
    }
    for (const name of Object.keys(PAGES)) {
      const html = await (await app.handle(new Request(`http://localhost/gallery/${name}`))).text()
      const assets = new Set([...html.matchAll(/"(\/assets\/[^"]+)"/g)].map(([, path]) => path!))
      expect([name, assets.size >= 3]).toEqual([name, true])
      let bytes = gzipSync(html).length
      for (const path of assets) bytes += await sizeOf(path)
      expect([name, bytes < 40 * 1024]).toEqual([name, true])
    }
  })
})

describe('the decision page (RFC 8628 5.4)', () => {
  test.skipIf(noBrowser).each(LOOKS)('on a $size, $colorScheme: Deny is as prominent as Approve', async look => {
    const { page, close } = await openTab(look)
    await page.goto(`${base}/gallery/device-decision`)
    const measure = (value: string): Promise<{ height: number }> =>
      page.evaluate(`(() => {
        const button = document.querySelector('button[value=${value}]')
        const { width, height, top } = button.getBoundingClientRect()
        const { fontSize, fontWeight, opacity } = getComputedStyle(button)
        return { width, height, top, fontSize, fontWeight, opacity }
      })()`)
    const deny = await measure('deny')
    expect(deny).toEqual(await measure('approve'))
    expect(deny.height).toBeGreaterThanOrEqual(44)
    await close()
  })

  test.skipIf(noBrowser)(
    'shows both buttons on a small phone without scrolling, however much is asked for',
    async () => {
      const { page, close } = await openTab({ size: 'phone' })
      await page.setViewportSize({ width: 375, height: 667 })
      for (const name of ['device-decision', 'device-decision-long']) {
        await page.goto(`${base}/gallery/${name}`)
        for (const button of ['Deny', 'Approve']) {
          const box = (await page.getByRole('button', { name: button }).boundingBox())!
          expect(box.y + box.height).toBeLessThanOrEqual(667)
        }
      }
      await close()
    },
  )
})

describe('the front page', () => {
  test.skipIf(noBrowser)(
    'shows the set-up of one app at a time beside their list, by keyboard and without JavaScript',
    async () => {
      const { page, close } = await openTab({ javaScriptEnabled: false })
      await page.goto(`${base}/gallery/home`)
      expect(await page.getByRole('button', { name: 'Copy' }).count()).toBe(0)
      const [claude, codex] = [page.getByText('claude mcp add'), page.getByText('codex mcp add')]
      await page.locator('summary', { hasText: 'Codex' }).focus()
      await page.keyboard.press('Enter')
      await codex.waitFor()
      expect(await claude.isVisible()).toBe(false)
      const [tab, content] = [
        await page.locator('summary', { hasText: 'Cursor' }).boundingBox(),
        await codex.boundingBox(),
      ]
      expect(content!.x).toBeGreaterThan(tab!.x + tab!.width)
      expect(content!.y).toBeLessThan(tab!.y)
      await close()
    },
  )
})
