/** One thing that was looked at. */
export interface Check {
  name: string
  state: 'ok' | 'warning' | 'failed'
  /** What was found. */
  found: string
  /** What to do about it; present unless it is ok. */
  fix?: string
}

export const ok = (name: string, found: string): Check => ({ name, state: 'ok', found })
export const warning = (name: string, found: string, fix: string): Check => ({ name, state: 'warning', found, fix })
export const failed = (name: string, found: string, fix: string): Check => ({ name, state: 'failed', found, fix })
