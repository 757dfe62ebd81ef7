import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
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

const LOOKS = EVERY_SIZE.flatMap(size => (['light', 'dark'] as const).map(colorScheme => ({ size, colorScheme })))

describe('every page in every state', () => {
  test.skipIf(noBrowser).each(LOOKS)(
    'on a $size, $colorScheme: fits, is readable (WCAG 2.2 1.4.3), and the console stays empty',
    async look => {
      const { page, complaints, close } = await openTab(look)
      for (const name of Object.keys(PAGES)) {
        await page.goto(`${base}/gallery/${name}`)
        expect({ name, overflow: await overflow(page), faint: await faintTexts(page), complaints }).toEqual({
          name,
          overflow: 0,
          faint: [],
          complaints: [],
        })
      }
      await close()
    },
  )

  test.skipIf(noBrowser)('needs no sideways scrolling at 320 pixels (WCAG 2.2 1.4.10)', async () => {
    const { page, close } = await openTab({ size: 'phone' })
    await page.setViewportSize({ width: 320, height: 568 })
    for (const name of Object.keys(PAGES)) {
      await page.goto(`${base}/gallery/${name}`)
      expect([name, await overflow(page)]).toEqual([name, 0])
    }
    await close()
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
