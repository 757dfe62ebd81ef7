/** Unmodified MCP servers from npm behind the gateway, used by clients of both SDKs, mcp-remote and the Inspector. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { follow, ROOT } from '../support/command.ts'
import { decide, signIn } from '../support/flows.ts'
import { type Front, startFront, tokenFor } from '../support/front.ts'
import { inspect } from '../support/inspector.ts'
import { node, startBridge } from '../support/mcp-remote.ts'
import { freePort } from '../support/ports.ts'
import { connectClient } from '../support/sdk-client.ts'

setDefaultTimeout(300_000)

const home = mkdtempSync(join(tmpdir(), 'npm-servers-'))
const inside = join(home, 'inside')
const outside = join(home, 'outside')
for (const directory of [inside, outside]) {
  mkdirSync(directory)
  writeFileSync(join(directory, 'note.txt'), `what is ${directory}`)
}

const command = node ?? process.execPath
const npm = (name: string, ...args: string[]) => ({
  command,
  args: [join(ROOT, `node_modules/@modelcontextprotocol/server-${name}/dist/index.js`), ...args],
})

let server: Front
let http: Bun.Subprocess<'ignore', 'ignore', 'pipe'>

beforeAll(async () => {
  const port = await freePort()
  const everything = npm('everything', 'streamableHttp')
  http = Bun.spawn([everything.command, ...everything.args], {
    env: { PATH: process.env.PATH ?? '', PORT: String(port) },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
  })
  await follow(http.stderr).until(/listening on port/)
  server = await startFront({
    files: npm('filesystem', inside),
    memory: { ...npm('memory'), env: { MEMORY_FILE_PATH: join(home, '${user.sub}.jsonl') } },
    everything: npm('everything'),
    remote: { url: `http://127.0.0.1:${port}/mcp` },
  })
})
afterAll(async () => {
  await server.close()
  http.kill()
  await http.exited
  rmSync(home, { recursive: true, force: true })
})

const pathOf = (name?: string) => (name === undefined ? '/mcp' : `/mcp/${name}`)
const textOf = (result: unknown) => (result as { content: { text: string }[] }).content[0]!.text

/** A client of SDK 1 that has directories open. `asked` counts how often it was asked for them. */
function clientWithRoots(directory: string) {
  const client = new ClientV1({ name: 'editor', version: '1' }, { capabilities: { roots: { listChanged: true } } })
  let asked = 0
  client.setRequestHandler(ListRootsRequestSchema, () => {
    asked++
    return { roots: [{ uri: pathToFileURL(directory).href, name: 'project' }] }
  })
  return { client, asked: () => asked }
}

const open = (version: 1 | 2, token: string, name?: string) => connectClient(version, server.base + pathOf(name), token)

describe('server-filesystem', () => {
  const read = async (client: ClientV1, name = 'read_text_file') => {
    const tried = [inside, outside].map(directory =>
      client.callTool({ name, arguments: { path: join(directory, 'note.txt') } }),
    )
    return (await Promise.all(tried)).map(result => textOf(result))
  }
  const denied = expect.stringContaining('Access denied')

  test('opens what its command line names, whatever roots a client has', async () => {
    for (const name of ['files', undefined]) {
      const { client, asked } = clientWithRoots(outside)
      const requestInit = { headers: { Authorization: `Bearer ${await tokenFor(server, name)}` } }
      await client.connect(new TransportV1(new URL(server.base + pathOf(name)), { requestInit }) as Transport)
      await client.sendRootsListChanged()
      const tool = name === undefined ? 'files__read_text_file' : 'read_text_file'
      expect(await read(client, tool)).toEqual([`what is ${inside}`, denied])
      expect(asked()).toBe(0)
      await client.close()
    }
  })

  test('without the gateway, opens what a client names instead', async () => {
    const { client, asked } = clientWithRoots(outside)
    await client.connect(new StdioClientTransport({ ...npm('filesystem', inside), stderr: 'ignore' }))
    while ((await read(client))[1] !== `what is ${outside}`) await Bun.sleep(5)
    expect([await read(client), asked()]).toEqual([[denied, `what is ${outside}`], 1])
    await client.close()
  })
})

test('server-memory keeps each user’s memory private', async () => {
  const entities = [{ name: 'Secret', entityType: 'fact', observations: ['only ada knows'] }]
  const remembered = async (email: string, name?: string) => {
    const client = await open(2, await tokenFor(server, name, 'mcp', email), name)
    const prefix = name === undefined ? 'memory__' : ''
    if (email.startsWith('ada')) await client.callTool({ name: `${prefix}create_entities`, arguments: { entities } })
    const { structuredContent } = await client.callTool({ name: `${prefix}read_graph`, arguments: {} })
    await client.close()
    return (structuredContent as { entities: unknown[] }).entities
  }
  expect(await remembered('ada@example.com', 'memory')).toEqual(entities)
  expect(await remembered('grace@example.com', 'memory')).toEqual([])
  expect(await remembered('grace@example.com')).toEqual([])
  expect(await remembered('ada@example.com')).toEqual(entities)
})

describe('server-everything', () => {
  const SUM = { a: 2, b: 40 }

  describe.each(['everything', 'remote'])('at /mcp/%s', name => {
    test.each([1, 2] as const)('lists, calls, reads and prompts for a client of SDK %d', async version => {
      const client = await open(version, await tokenFor(server, name), name)
      const { tools } = await client.listTools()
      expect(tools.find(tool => tool.name === 'get-structured-content')?.outputSchema).toBeDefined()
      expect(textOf(await client.callTool({ name: 'get-sum', arguments: SUM }))).toBe('The sum of 2 and 40 is 42.')
      const weather = await client.callTool({ name: 'get-structured-content', arguments: { location: 'Chicago' } })
      expect(weather.structuredContent).toMatchObject({ conditions: expect.any(String) })
      const { contents } = await client.readResource({ uri: 'demo://resource/dynamic/text/1' })
      expect(contents[0]).toMatchObject({ uri: 'demo://resource/dynamic/text/1', text: expect.any(String) })
      expect((await client.getPrompt({ name: 'simple-prompt' })).messages).toHaveLength(1)
      await client.close()
    })
  })

  test.each([1, 2] as const)('is in the hub, over stdio and over HTTP, for a client of SDK %d', async version => {
    const client = await open(version, await tokenFor(server))
    for (const name of ['everything', 'remote'])
      expect(textOf(await client.callTool({ name: `${name}__echo`, arguments: { message: name } }))).toBe(
        `Echo: ${name}`,
      )
    await client.close()
  })

  test.skipIf(!node)('works with mcp-remote, which its user approves by device code', async () => {
    const { client, connect, link } = startBridge(`${server.base}/mcp/everything`, join(home, 'bridge'), [
      '--device-code',
    ])
    const approve = async (printed: string) =>
      decide(server, await signIn(server), new URL(printed).searchParams.get('code')!)
    await Promise.all([connect(), link.then(approve)])
    expect(textOf(await client.callTool({ name: 'get-sum', arguments: SUM }))).toBe('The sum of 2 and 40 is 42.')
    await client.close()
  })

  test.each(['everything', 'remote'])('at /mcp/%s serves the command line of the Inspector', async name => {
    const args = ['--transport', 'http', '--method', 'tools/call', '--tool-name', 'get-sum']
    const sum = Object.entries(SUM).flatMap(([key, value]) => ['--tool-arg', `${key}=${value}`])
    const url = server.base + pathOf(name)
    const { code, out, err } = await inspect(url, home, await tokenFor(server, name), [...args, ...sum])
    expect([code, err, textOf(out)]).toEqual([0, '', 'The sum of 2 and 40 is 42.'])
  })
})
