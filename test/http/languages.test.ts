/** The pages in the reader's language (RFC 9110 12.5.4). */
// Not on PostgreSQL: it is about texts.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openScopes } from '../../src/oauth/scopes.ts'
import { ERRORS, translated } from '../../views/texts/errors.ts'
import { TEXTS } from '../../views/texts/index.ts'
import { ROOT } from '../support/command.ts'
import { enterCode, registerClient, requestDevice, signIn } from '../support/flows.ts'
import { gallery, PAGES } from '../support/gallery.tsx'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.close())

const placeholders = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).toSorted()

describe.each(Object.entries(TEXTS))('the catalogue %s', (language, texts) => {
  test('has every text of the English one, with its placeholders', () => {
    const shape = (catalogue: Record<string, string>) =>
      Object.fromEntries(Object.entries(catalogue).map(([key, text]) => [key, placeholders(text)]))
    expect(shape(texts)).toEqual(shape(TEXTS.en))
    expect(Object.entries(texts).filter(([, text]) => text.trim() === '')).toEqual([])
  })

  test('has a text for each built-in scope', () => {
    for (const scope of openScopes().names) expect(texts).toHaveProperty([scope])
  })

  test('is what a browser of that language gets', async () => {
    const html = await (await server.get('/auth/signin', { 'Accept-Language': `${language}, xx;q=0.9` })).text()
    expect(html).toStartWith(`<!doctype html><html lang="${language}">`)
    expect(html).toContain(texts.areYouOperator)
  })
})

test.each([
  ['de-CH, fr;q=0.9', 'de'],
  ['nl, fr-CA;q=0.8, es;q=0.9', 'es'],
  ['zh-TW, ja;q=0.5', 'ja'],
  ['zh-CN', 'zh-Hans'],
  ['de;q=0', 'en'],
  ['nonsense;;;q=,', 'en'],
  ['', 'en'],
])('%p is answered in %s', async (wanted, language) => {
  const html = await (await server.get('/auth/signin', { 'Accept-Language': wanted })).text()
  expect(html).toContain(`<html lang="${language}">`)
})

/** Where errors that a connecting person sees are thrown. */
const SOURCES = [
  'oauth/{authorization-request,kept-requests,device,consents}',
  'signin/*',
  'http/{session,error-boundary}',
  'account/*',
  'gateway/accounts/*',
]

test('every error that a connecting person sees has its sentences in every language', () => {
  const files = SOURCES.flatMap(source => [...new Bun.Glob(`src/${source}.ts`).scanSync(ROOT)])
  expect(files.length).toBeGreaterThan(8)
  const code = files.map(file => readFileSync(join(ROOT, file), 'utf8')).join('\n')
  const thrown = [...code.matchAll(/new AppError\(\s*('[^']+'|`[^`]+`),\s*('[^']+'|`[^`]+`)?/g)].flatMap(
    ([, ...both]) => both,
  )
  const own = [...code.matchAll(/\b(?:title|advice|OPERATOR)(?:: | = )('[^']+')/g)].map(([, text]) => text)
  const documents = readFileSync(join(ROOT, 'src/oauth/clients/metadata-documents.ts'), 'utf8')
  const described = [...documents.matchAll(/`(The app is described [^`]+)`/g)].map(([, text]) => `'${text}.'`)
  expect(described.length).toBe(2)
  const sentences = [...thrown, ...own, ...described]
    .filter(text => text !== undefined)
    .map(text => text.slice(1, -1).replace(/\$\{[^}]+\}/g, '{}'))
    .filter(text => text !== 'Sign in first')
  expect(sentences.length).toBeGreaterThan(45)
  const known = new Set(Object.keys(ERRORS).map(text => text.replace(/\{\w+\}/g, '{}')))
  // Technical, for the developers of an app or the operator.
  const technical = /operator must set|It must have at most|^\{\}\.$/
  expect([...new Set(sentences)].filter(text => !known.has(text) && !technical.test(text))).toEqual([])
  for (const [sentence, others] of Object.entries(ERRORS))
    expect([sentence, others.map(placeholders)]).toEqual([sentence, Array(5).fill(placeholders(sentence))])
})

test('errors, permissions and durations are in the reader’s language, too', async () => {
  const ada = await signIn(server)
  const german = { Cookie: ada, Accept: 'text/html', 'Accept-Language': 'de' }
  expect(await (await server.get('/nowhere', german)).text()).toContain('<h1>Diese Seite gibt es nicht</h1>')
  expect(translated('ja', 'Enter at most 1825 days.')).toBe('1825日以内で入力してください。')
  const { user_code } = await requestDevice(server, await registerClient(server))
  const entered = (await enterCode(server, ada, user_code)).headers.get('location')!
  const html = await (await server.get(entered, german)).text()
  for (const text of ['Haben Sie das begonnen?', 'Werkzeuge in Ihrem Namen benutzen', 'höchstens 90 Tage'])
    expect(html).toContain(text)
})

/** Names of apps, what the gallery itself puts into a page, and a text that is for the developers of an app. */
const NOT_TRANSLATED =
  /^(Claude Code|Gemini CLI|Qwen Code|VS Code|claude\.ai, Claude Desktop|MCP Inspector|Connectors → .*|Add Servers → .*|Nightly report|The Remarkably Long-Winded .*|.* https:.*|notes:read .*|The parameter code_challenge .*|That is not your e-mail address\.|Choose what the token allows\.|build server)$/

test('no English is left on the pages in Japanese', async () => {
  const app = gallery()
  const left: [page: string, text: string][] = []
  for (const name of Object.keys(PAGES)) {
    if (name.startsWith('admin') || name === 'account-disconnected') continue
    const html = await (await app.handle(new Request(`http://localhost/gallery/${name}?lang=ja`))).text()
    const body = html.slice(html.indexOf('<body')).replace(/<(code|pre|svg|script|style)\b[\s\S]*?<\/\1>/g, '')
    const texts = [...body.matchAll(/>([^<>]+)<|(?:aria-label|title|alt)="([^"]+)"/g)].map(([, text, attribute]) =>
      (text ?? attribute)!.trim(),
    )
    for (const text of texts)
      if (
        /[a-z]{2,}[ ,][^<>]*[a-z]{2,}/i.test(text) &&
        !/[\u3040-\u30ff\u4e00-\u9fff]/.test(text) &&
        !NOT_TRANSLATED.test(text)
      )
        left.push([name, text])
  }
  expect(left).toEqual([])
})
