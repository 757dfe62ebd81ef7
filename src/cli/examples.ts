/** An example or two for the help of each command. */
import packageJson from '../../package.json' with { type: 'json' }

/** By the command's words. A test parses each of them. */
const EXAMPLES: Record<string, readonly string[]> = {
  serve: ['serve', 'serve --port 4000 --data-dir /var/lib/mcp-oauth-server'],
  login: [
    'login https://mcp.example.com/mcp',
    'login https://mcp.example.com/mcp --save',
    'login https://mcp.example.com/mcp call search --arg query=berlin --arg limit=3',
    'login https://mcp.example.com/mcp --json >tokens.json',
  ],
  logout: ['logout https://mcp.example.com/mcp'],
  migrate: ['migrate', '-C /var/lib/mcp-oauth-server migrate'],
  status: ['status', 'status --json'],
  doctor: ['doctor', 'doctor https://mcp.example.com/mcp', 'doctor --client claude'],
  'client add': [
    'client add "Nightly job" --grant client_credentials',
    'client add "Web app" --redirect-uri https://app.example.com/callback --confidential',
  ],
  'client list': ['client list'],
  'client show': ['client show c_9DRzZHq7dBKLtZ1V'],
  'client rotate-secret': ['client rotate-secret c_9DRzZHq7dBKLtZ1V'],
  'client remove': ['client remove c_9DRzZHq7dBKLtZ1V'],
  'user list': ['user list'],
  'user show': ['user show ada@example.com', 'user show ada@example.com --json >ada.json'],
  'user link': ['user link ada@example.com', 'user link ada@example.com --admin'],
  'user invite': ['user invite ada@example.com'],
  'user promote': ['user promote ada@example.com'],
  'user demote': ['user demote ada@example.com'],
  'user disable': ['user disable ada@example.com'],
  'user enable': ['user enable ada@example.com'],
  'user remove': ['user remove ada@example.com', 'user remove ada@example.com --yes'],
  'connection list': ['connection list', 'connection list --user ada@example.com'],
  'connection rename': ['connection rename 0198f2d5-6c1e-7c52-b5a4-3d0f7a4be1c9 laptop'],
  'connection end': [
    'connection end 0198f2d5-6c1e-7c52-b5a4-3d0f7a4be1c9',
    'connection end --user ada@example.com',
    'connection end --client c_9DRzZHq7dBKLtZ1V',
  ],
  'upstream list': ['upstream list'],
  'upstream check': ['upstream check', 'upstream check files'],
  'upstream changes': ['upstream changes files'],
  'upstream trust': ['upstream trust files'],
  'upstream restart': ['upstream restart files'],
  'passkey list': ['passkey list ada@example.com'],
  'passkey remove': ['passkey remove ada@example.com 5e3a91c07b42'],
  'session list': ['session list ada@example.com'],
  'session end': ['session end ada@example.com 5e3a91c07b42', 'session end ada@example.com --all'],
  'token add': ['token add "Nightly report" --user ada@example.com --expires 30d'],
  'token list': ['token list', 'token list --user ada@example.com'],
  'token revoke': ['token revoke 0198f2d5-6c1e-7c52-b5a4-3d0f7a4be1c9'],
  'key list': ['key list'],
  'key rotate': ['key rotate', 'key rotate --revoke'],
  'audit list': ['audit list --event user.refused --limit 10', 'audit list --user ada@example.com --since 2026-11-01'],
  'audit tail': ['audit tail', 'audit tail --client c_9DRzZHq7dBKLtZ1V --json'],
  'audit export': ['audit export --since 2026-11-01 >november.csv', 'audit export --json >audit.jsonl'],
  backup: ['backup backup-2026-11-28.gz', 'backup backup-2026-11-28.gz --with-secret'],
  restore: ['restore backup-2026-11-28.gz', 'restore backup-2026-11-28.gz --replace --yes'],
  completion: [
    'completion bash >~/.local/share/bash-completion/completions/mcp-oauth-server',
    'completion fish | source',
  ],
}

/** @param path The words of a command, or of a group: then one example of each of its commands. */
export function examplesOf(path: string): string {
  const own =
    EXAMPLES[path] ??
    Object.entries(EXAMPLES).flatMap(([name, [first]]) => (name.startsWith(`${path} `) && first ? [first] : []))
  return `\nExample${own.length === 1 ? '' : 's'}:\n${own.map(line => `  ${packageJson.name} ${line}`).join('\n')}`
}
