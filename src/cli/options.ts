/** What the definitions of commands share. */
import { type Command, Option } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }

export const NAME = packageJson.name

export function group(program: Command, name: string, description: string): Command {
  return program.command(name).description(description)
}

export function json(): Option {
  return new Option('--json', 'Print JSON')
}

export function collect(value: string, earlier: string[] = []): string[] {
  return [...earlier, value]
}
