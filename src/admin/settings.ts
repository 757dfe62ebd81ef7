/** The settings in effect, with secrets masked, and where each came from; and the signing keys. */
import { Elysia } from 'elysia'
import { z } from 'zod'
import { settingsPage } from '../../views/admin/settings.tsx'
import { PAGE } from '../http/routes.ts'
import { rotateSigningKey } from '../oauth/key-rotation.ts'
import { KEY_SET_SECONDS, listPublishedKeys } from '../oauth/keys.ts'
import { type AdminDeps, type Asked, administrators, adminPage, asAdministrator, backTo, readForm } from './guard.ts'

const rotateSchema = z.object({ revoke: z.enum(['yes', 'no']) })

const SAID = {
  yes: 'A new key signs now. Every earlier access token is refused; clients get new ones with their refresh tokens.',
  no: `A new key is published, and signs in ${KEY_SET_SECONDS / 60} minutes. What the old one signed stays valid until it expires.`,
}

export const settings = (deps: AdminDeps) =>
  new Elysia({ name: 'admin-settings' })
    .use(administrators(deps))
    .get('/admin/settings', asked => showSettings(deps, asked), { administrator: true, ...PAGE })
    .post(
      '/admin/settings/rotate-key',
      async asked => {
        const { revoke } = await readForm(deps, asked, 'settings', rotateSchema, { dangerous: () => ({}) })
        await rotateSigningKey(asAdministrator(deps, asked), { revoke: revoke === 'yes' })
        return backTo(deps, '/admin/settings', SAID[revoke])
      },
      { parse: 'none', administrator: true, ...PAGE },
    )

async function showSettings(deps: AdminDeps, asked: Asked): Promise<Response> {
  const now = deps.now()
  const keys = (await listPublishedKeys(deps)).map(({ kid, created_at, signs_at, retired_at }) => ({
    kid,
    createdAt: created_at.toISOString(),
    signsFrom: signs_at > now ? signs_at.toISOString() : undefined,
    replacedAt: retired_at && retired_at <= now ? retired_at.toISOString() : undefined,
  }))
  return adminPage(deps, asked, 'settings', frame => settingsPage({ frame, settings: deps.settings, keys }))
}
