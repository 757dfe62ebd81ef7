#!/usr/bin/env bun
/** Checks an OAuth server from outside against numbered requirements. Exits 1 if a MUST fails, 2 if it cannot run. */
import { parseArgs } from 'node:util'
import { byBrowser, byCommand } from './approve.ts'
import { openDocuments } from './documents.ts'
import { type Approve, BrokenRun } from './model.ts'
import { json, summarize, table } from './report.ts'
import { checkAll } from './requirements.ts'
import { openTarget } from './target.ts'

const HELP = `Usage: bun run run.ts ISSUER [options]

Who asks (a client registers itself if neither is given)
  --client-id ID                 a client that may use the device grant
  --client-secret SECRET         its secret, if it has one; better in the environment: CLIENT_SECRET
  --other-client-id ID           a second one, to see that codes are bound to their client
  --initial-access-token TOKEN   for registration; better in the environment: INITIAL_ACCESS_TOKEN
  --scope SCOPE                  what to ask for

Who decides (without it, what comes after approval is not tested)
  --approve COMMAND              runs COMMAND URI CODE approve|deny in a shell; also in its environment:
                                 VERIFICATION_URI, VERIFICATION_URI_COMPLETE, USER_CODE, DECISION
  --browser MODULE               default export (page, {verificationUri, verificationUriComplete, userCode, decision})
                                 presses the buttons in Chromium; needs playwright-core
  --chromium PATH                default /usr/bin/chromium

What to ask
  --device-endpoint URL          if the metadata does not name them
  --token-endpoint URL
  --json-tokens                  the token endpoint takes no forms: ask in JSON but in POLL-1
  --documents URL                a public https address that leads to --documents-port of this machine, where client id
  --documents-port PORT          metadata documents are served while it runs
  --max-wait SECONDS             how long to wait for a device code to expire (default 0: not at all)

  --json                         prints JSON, not a table
`

const OPTIONS = {
  'client-id': { type: 'string' },
  'client-secret': { type: 'string' },
  'other-client-id': { type: 'string' },
  'initial-access-token': { type: 'string' },
  scope: { type: 'string' },
  approve: { type: 'string' },
  browser: { type: 'string' },
  chromium: { type: 'string', default: '/usr/bin/chromium' },
  'device-endpoint': { type: 'string' },
  'token-endpoint': { type: 'string' },
  'json-tokens': { type: 'boolean', default: false },
  documents: { type: 'string' },
  'documents-port': { type: 'string' },
  'max-wait': { type: 'string', default: '0' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const

function readArgs(args: string[]) {
  try {
    const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true })
    const [issuer, ...rest] = positionals
    if (values.help) return { issuer: '', values }
    if (!issuer || rest.length > 0 || !URL.canParse(issuer)) throw new BrokenRun('Give one issuer, a URL')
    return { issuer, values }
  } catch (error) {
    throw new BrokenRun(`${(error as Error).message}\n\n${HELP}`)
  }
}

async function main(): Promise<number> {
  const { issuer, values } = readArgs(process.argv.slice(2))
  if (values.help) {
    process.stdout.write(HELP)
    return 0
  }
  if (values.documents && !values['documents-port']) throw new BrokenRun('--documents needs --documents-port')
  const documents = values.documents && (await openDocuments(values.documents, Number(values['documents-port'] ?? 0)))
  const browser = values.browser && (await byBrowser(values.browser, values.chromium))
  const approve: Approve | undefined = browser
    ? browser.approve
    : values.approve
      ? byCommand(values.approve)
      : undefined
  try {
    const target = await openTarget({
      issuer,
      clientId: values['client-id'],
      clientSecret: values['client-secret'] ?? process.env.CLIENT_SECRET,
      otherClientId: values['other-client-id'],
      initialAccessToken: values['initial-access-token'] ?? process.env.INITIAL_ACCESS_TOKEN,
      scope: values.scope,
      deviceEndpoint: values['device-endpoint'],
      tokenEndpoint: values['token-endpoint'],
      jsonTokens: values['json-tokens'],
      maxWait: Number(values['max-wait']),
      approve,
      documents: documents || undefined,
    })
    const results = await checkAll(target)
    process.stdout.write(values.json ? json(issuer, results) : table(issuer, results))
    return summarize(results).failedMust > 0 ? 1 : 0
  } finally {
    if (documents) documents.close()
    if (browser) await browser.close()
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  if (!(error instanceof BrokenRun)) throw error
  // Other checks may still wait for something.
  process.stderr.write(`${error.message}\n`, () => process.exit(2))
}
