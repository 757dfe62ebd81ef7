#!/usr/bin/env bun
import { runProgram } from './cli/program.ts'

try {
  const code = await runProgram(process.argv.slice(2))
  // A finished command ends, whatever is still closing; the server runs on.
  if (code !== undefined) process.exit(code)
} catch (error) {
  const { explain } = await import('./cli/environment.ts')
  const { text, code } = explain(error)
  process.stderr.write(`${text}\n`)
  process.exit(code)
}
