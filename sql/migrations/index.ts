import initial from './0001_initial.sql' with { type: 'text' }
import gateway from './0003_gateway.sql' with { type: 'text' }

export interface Migration {
  /** The file's name without `.sql`. */
  name: string
  text: string
}

/** In order, never edited once landed: the n-th is version n of the schema. Listed by hand, so that the binary embeds them. */
export const migrations: readonly Migration[] = [
  { name: '0001_initial', text: initial },
  { name: '0003_gateway', text: gateway },
]
