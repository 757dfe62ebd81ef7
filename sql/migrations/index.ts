import initial from './0001_initial.sql' with { type: 'text' }

/** In order, never edited once landed: the n-th is version n of the schema. Listed by hand, so that the binary embeds them. */
export const migrations: readonly { name: string; text: string }[] = [{ name: '0001_initial', text: initial }]
