import { Elysia } from 'elysia'
import { settingsPage } from '../../views/admin/settings.tsx'
import { PAGE } from '../http/routes.ts'
import { type AdminDeps, administrators, adminPage } from './guard.ts'

/** The settings in effect, with secrets masked, and where each came from. */
export const settings = (deps: AdminDeps) =>
  new Elysia({ name: 'admin-settings' })
    .use(administrators(deps))
    .get(
      '/admin/settings',
      asked => adminPage(deps, asked, 'settings', frame => settingsPage({ frame, settings: deps.settings })),
      { administrator: true, ...PAGE },
    )
