/** Pictures of the gallery, for looking at: `bun run test/support/pictures.ts DIRECTORY [WORD...]` takes pages whose name has a word. */
import { mkdirSync } from 'node:fs'
import { launchBrowser } from './browser.ts'
import { gallery, PAGES } from './gallery.tsx'

const [directory = '/tmp/pictures', ...words] = process.argv.slice(2)
mkdirSync(directory, { recursive: true })
const app = gallery()
app.listen({ hostname: '127.0.0.1', port: 0 })
const browser = await launchBrowser()
const LOOKS = [
  { name: 'phone', width: 390, height: 844, colorScheme: 'light' },
  { name: 'small-dark', width: 320, height: 640, colorScheme: 'dark' },
  { name: 'desktop', width: 1440, height: 900, colorScheme: 'light' },
  { name: 'desktop-dark', width: 1440, height: 900, colorScheme: 'dark' },
] as const
for (const { name: look, width, height, colorScheme } of LOOKS) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme })
  const page = await context.newPage()
  for (const name of Object.keys(PAGES)) {
    if (words.length > 0 && !words.some(word => name.includes(word))) continue
    await page.goto(`http://127.0.0.1:${app.server!.port}/gallery/${name}`)
    await page.screenshot({ path: `${directory}/${name}.${look}.png`, fullPage: true })
  }
  await context.close()
}
await browser.close()
await app.server?.stop(true)
