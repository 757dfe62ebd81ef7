/** A stdio server that a test plays: its pipes are a socket to the port that is named. Ends with either. */
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
