/** Scripts that complete the commands and options in a shell. */
import type { Command } from 'commander'
import { UsageError } from '../lib/errors.ts'

/** @throws UsageError for any other shell. */
export function completionScript(program: Command, shell: string): string {
  const write = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined
  if (!write) throw new UsageError(`There is no completion for ${shell}; use ${Object.keys(SHELLS).join(', ')}`)
  return write(program.name(), wordsByPath(program))
}

/** What may come next after the words of a command: `''`, `client`, `client add`. */
function wordsByPath(program: Command): [path: string, words: string[]][] {
  const visit = (command: Command, path: string): [string, string[]][] => [
    [path, [...command.commands.map(child => child.name()), ...command.options.flatMap(option => option.long ?? [])]],
    ...command.commands.flatMap(child => visit(child, `${path} ${child.name()}`.trim())),
  ]
  return visit(program, '')
}

const SHELLS: Record<string, (name: string, words: [string, string[]][]) => string> = {
  bash: (name, words) => `_${functionName(name)}() {
  local path="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do [[ $word == -* ]] || path="\${path:+$path }$word"; done
  local next=""
  case "$path" in
${words
  .map(([path, next]) => `    "${path}"${path === '' ? '' : ` | "${path} "*`}) next="${next.join(' ')}" ;;`)
  .reverse()
  .join('\n')}
  esac
  COMPREPLY=($(compgen -W "$next" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _${functionName(name)} ${name}`,
  zsh: (name, words) => `#compdef ${name}
autoload -U +X bashcompinit && bashcompinit
${SHELLS.bash!(name, words)}`,
  fish: (name, words) =>
    words
      .flatMap(([path, next]) => {
        const above = path.split(' ').filter(Boolean)
        const condition =
          above.length === 0
            ? '__fish_use_subcommand'
            : above.map(word => `__fish_seen_subcommand_from ${word}`).join('; and ')
        return next.map(word =>
          word.startsWith('--')
            ? `complete -c ${name} -n '${condition}' -l ${word.slice(2)}`
            : `complete -c ${name} -f -n '${condition}' -a ${word}`,
        )
      })
      .join('\n'),
}

function functionName(name: string): string {
  return name.replaceAll('-', '_')
}
