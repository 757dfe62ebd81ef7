/** A stdio server played by a test: its pipes are connected to a socket on the given port. Ends with either. */
const port = Number(process.argv[2])
const socket = await Bun.connect({
  hostname: '127.0.0.1',
  port,
  socket: {
    data: (_, chunk) => void process.stdout.write(chunk),
    close: () => process.exit(0),
    error: () => process.exit(0),
  },
})
for await (const chunk of process.stdin) socket.write(chunk)
process.exit(0)

export {}
