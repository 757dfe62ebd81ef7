/** How a person runs another command of this program. */
import packageJson from '../../package.json' with { type: 'json' }

const isCompiled = /\$bunfs|~BUN/.test(import.meta.path)

/** For pages, which strangers can read: without the directory of the binary. */
export const COMMAND = isCompiled ? packageJson.name : `npx -y ${packageJson.packageManager} run src/main.ts`

/** For the terminal where the program was started. */
export const PROGRAM = isCompiled ? process.execPath : COMMAND
