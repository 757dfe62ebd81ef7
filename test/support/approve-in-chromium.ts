/** A browser hook of the conformance suite for our own pages: signs in with SIGN_IN_LINK first. */
import type { BrowserHook } from '../conformance/approve.ts'

let signedIn = false

const decide: BrowserHook = async (page, { verificationUri, userCode, decision }) => {
  if (!signedIn) {
    await page.goto(process.env.SIGN_IN_LINK!)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.waitForLoadState()
    signedIn = true
  }
  await page.goto(verificationUri)
  await page.locator('input[name=user_code]').fill(userCode)
  await page.locator('button.primary').click()
  const button = page.getByRole('button', { name: decision === 'approve' ? 'Approve' : 'Deny', exact: true })
  await button.click()
  await button.waitFor({ state: 'detached' })
}

export default decide
