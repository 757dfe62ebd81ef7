/** The person who decides: a command, or steps in Chromium. */
import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Page } from 'playwright-core'
import { type Approve, BrokenRun, type Decision } from './model.ts'

/** What the default export of a browser hook is given. The page keeps its cookies between calls. */
export type BrowserHook = (
  page: Page,
  request: {
    verificationUri: string
    verificationUriComplete: string | undefined
    userCode: string
    decision: Decision
  },
) => Promise<void>

/** Runs `command URI CODE DECISION` in a shell; the environment has the same by name. */
export function byCommand(command: string): Approve {
  return (device, decision) =>
    new Promise((done, failed) => {
      const { verificationUri, verificationUriComplete = '', userCode } = device
      const child = spawn('sh', ['-c', `${command} "$@"`, 'approve', verificationUri, userCode, decision], {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: {
          ...process.env,
          VERIFICATION_URI: verificationUri,
          VERIFICATION_URI_COMPLETE: verificationUriComplete,
          USER_CODE: userCode,
          DECISION: decision,
        },
      })
      child.on('error', failed)
      child.on('exit', code => {
        if (code === 0) done()
        else failed(new BrokenRun(`The approve command ended with ${code ?? 'a signal'} when asked to ${decision}`))
      })
    })
}

/** Opens Chromium and lets a module of the caller's press the buttons. @returns also how to close it. */
export async function byBrowser(module: string, chromiumPath: string): Promise<{ approve: Approve; close: Close }> {
  const { chromium } = await import('playwright-core')
  const hook = ((await import(pathToFileURL(resolve(module)).href)) as { default: BrowserHook }).default
  if (typeof hook !== 'function') throw new BrokenRun(`${module} has no default export to call`)
  const browser = await chromium.launch({ executablePath: chromiumPath, args: ['--headless', '--no-sandbox'] })
  const page = await browser.newPage()
  page.setDefaultTimeout(300_000)
  return {
    async approve({ verificationUri, verificationUriComplete, userCode }, decision) {
      await hook(page, { verificationUri, verificationUriComplete, userCode, decision }).catch(error => {
        throw new BrokenRun(`The browser hook could not ${decision}: ${(error as Error).message}`)
      })
    },
    close: () => browser.close(),
  }
}

type Close = () => Promise<void>
