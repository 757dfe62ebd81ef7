/** The pictures of the README, from the gallery as a phone shows it: `bun run test/support/readme-pictures.ts`. Needs ImageMagick. */
import { join } from 'node:path'
import { launchBrowser } from './browser.ts'
import { ROOT } from './command.ts'
import { gallery } from './gallery.tsx'

const PICTURES = { device: 'device-decision', account: 'account', trace: 'admin-trace' }
/** Few colours keep the files small. */
const SMALL = ['+dither', '-colors', '48', '-strip', '-define', 'png:compression-level=9']

const app = gallery()
app.listen({ hostname: '127.0.0.1', port: 0 })
const browser = await launchBrowser()
const page = await browser.newPage({
  viewport: { width: 390, height: 844 },
  deviceScaleFactor: 1.5,
  colorScheme: 'light',
})
for (const [name, path] of Object.entries(PICTURES)) {
  await page.goto(`http://127.0.0.1:${app.server!.port}/gallery/${path}`)
  const picture = await page.screenshot()
  const target = join(ROOT, 'views', `${name}.png`)
  const { success } = Bun.spawnSync(['convert', '-', ...SMALL, `png8:${target}`], { stdin: picture, stderr: 'inherit' })
  if (!success) throw new Error(`convert could not write ${target}`)
}
await browser.close()
await app.server?.stop(true)
