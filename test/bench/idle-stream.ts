/** Opens the event stream of a session over a bare socket. Resolves when the server has begun to answer. */
export async function openIdleStream(url: string, accessToken: string, session: string): Promise<{ close(): void }> {
  const { host, hostname, port } = new URL(url)
  const begun = Promise.withResolvers<void>()
  const socket = await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      data(_, chunk) {
        const answer = chunk.toString('latin1')
        if (answer.startsWith('HTTP/1.1 ') && !answer.startsWith('HTTP/1.1 200')) begun.reject(new Error(answer))
        begun.resolve()
      },
      close: () => begun.reject(new Error('the server closed a stream')),
    },
  })
  const fields = {
    ...{ Host: host, Accept: 'text/event-stream', Authorization: `Bearer ${accessToken}` },
    ...{ 'Mcp-Session-Id': session, 'MCP-Protocol-Version': '2025-11-25' },
  }
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`GET /mcp HTTP/1.1\r\n${lines.join('')}\r\n`)
  await begun.promise
  return { close: () => socket.end() }
}
