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

/** Options of the program whose value is a word that is no command. */
const VALUED = '-C|--directory|--env-file'

const cases = (words: [string, string[]][]) =>
  words
    .map(([path, next]) => `    "${path}"${path === '' ? '' : ` | "${path} "*`}) next="${next.join(' ')}" ;;`)
    .reverse()
    .join('\n')

const SHELLS: Record<string, (name: string, words: [string, string[]][]) => string> = {
  bash: (name, words) => `_${functionName(name)}() {
  local typed="" word before="" next=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* || $before =~ ^(${VALUED})$ ]] || typed="\${typed:+$typed }$word"
    before=$word
  done
  case "$typed" in
${cases(words)}
  esac
  COMPREPLY=($(compgen -W "$next" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _${functionName(name)} ${name}`,
  zsh: (name, words) => `#compdef ${name}
_${functionName(name)}() {
  local typed="" word before="" next=""
  for word in "\${(@)words[2,CURRENT-1]}"; do
    [[ $word == -* || $before =~ '^(${VALUED})$' ]] || typed="\${typed:+$typed }$word"
    before=$word
  done
  case "$typed" in
${cases(words)}
  esac
  compadd -- \${=next} || _files
}
# In a directory of fpath this file is the function; otherwise it is sourced.
if [[ $funcstack[1] == _${name} ]]; then _${functionName(name)} "$@"; else compdef _${functionName(name)} ${name}; fi`,
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
